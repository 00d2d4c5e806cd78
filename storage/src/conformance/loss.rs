//! Checks of a store that loses what it had while it is used.

use super::deliveries::{alerts, anna, at, decision, delivery, notice, told};
use super::sample;
use super::{assert_foreign, cursor};
use crate::keys::{KeyCache, KeyGrant, NewKey, generate};
use crate::ports::deliveries::{DeliveryState, DeliveryStore, NoticeId, Outcome};
use crate::ports::incidents::IncidentStore;
use crate::ports::keys::{KeyStore, Scope};
use crate::ports::people::{PeopleStore, PersonRow};
use crate::ports::rows::{EffectStore, Rollup, RowStore};
use crate::ports::site::{Claim, OwnerStore, SiteStore};
use crate::ports::{Result, StoreError};
use crate::relational::database::{Database, Transaction};
use crate::relational::{Relational, Sink, tables};
use andon_engine::effect::Effect;
use andon_engine::ids::{JournalId, RouteId};
use andon_engine::incident::Incident;
use andon_engine::rule::{Configuration, default_rules};
use andon_engine::time::{Span, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: Result<T>) {
    assert!(
        matches!(result, Err(StoreError::Lost { .. })),
        "should be lost: {result:?}"
    );
}

async fn script<D: Database>(s: &Relational<D>, statements: impl IntoIterator<Item = String>) {
    let mut tx = s.database().begin().await.unwrap();
    for statement in statements {
        tx.script(statement).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// As after a restart without its files.
async fn drop_tables<D: Database>(s: &Relational<D>) {
    let all = tables::<D>().into_iter().chain(["schema_migrations"]);
    script(s, all.map(|t| format!("DROP TABLE {t}"))).await;
}

async fn delete_rows<D: Database>(s: &Relational<D>) {
    script(s, tables::<D>().into_iter().map(|t| format!("DELETE FROM {t}"))).await;
}

fn key(name: &str) -> NewKey {
    let grant = KeyGrant {
        name: name.to_owned(),
        scopes: vec![Scope::Ingest],
        ..KeyGrant::default()
    };
    generate(grant, NOW)
}

fn person(id: &str) -> PersonRow {
    PersonRow {
        id: id.to_owned(),
        name: format!("{id} '"),
        email: format!("{id}@plant.example"),
        language: "de".to_owned(),
        created_at: NOW,
    }
}

fn rollup(value: f64) -> Rollup {
    Rollup {
        device: "D-1".to_owned(),
        reading: "t".to_owned(),
        minute: Timestamp(0),
        min: value,
        max: value,
        sum: value,
        count: 1,
        last: value,
        last_at: Timestamp(1),
    }
}

async fn sums(s: &impl RowStore) -> Vec<f64> {
    let all = s.rollups("D-1", "t", Timestamp::MIN, Timestamp::MAX, 9).await.unwrap();
    all.into_iter().map(|r| r.sum).collect()
}

/// One incident for each effect.
fn effects(n: usize) -> (Vec<Effect>, Vec<Incident>) {
    let mut rng = StdRng::seed_from_u64(9);
    let incidents: Vec<Incident> = (0..n).map(|_| sample::incident(&mut rng)).collect();
    (
        incidents
            .iter()
            .map(|i| Effect::Incident(Box::new(i.clone())))
            .collect(),
        incidents,
    )
}

/// What a writer does after `Lost`: reads its cursor, and writes again what comes after it.
async fn write_again(s: &impl EffectStore, effects: &[Effect]) {
    let done = s.effect_cursor().await.unwrap().map_or(0, |c| c.seq) as usize;
    for (n, effect) in effects.iter().enumerate().skip(done) {
        s.apply_effects(std::slice::from_ref(effect), cursor(1, n as u64 + 1))
            .await
            .unwrap();
    }
}

pub async fn a_cursor_that_is_gone_or_behind_is_lost_until_it_is_read<D: Database>(
    open: impl AsyncFn() -> Relational<D>,
) {
    let s = open().await;
    let (effects, incidents) = effects(4);
    write_again(&s, &effects[..3]).await;
    s.write_rows(&[rollup(1.0)], &[], cursor(1, 7)).await.unwrap();
    // A backup of an hour ago.
    let back = "UPDATE sink_cursors SET seq = 1 WHERE sink = 'effects'";
    script(&s, [back.to_owned(), "DELETE FROM incidents".to_owned()]).await;
    for _ in 0..2 {
        assert_lost(s.apply_effects(&effects[3..], cursor(1, 4)).await);
    }
    assert_eq!(
        s.incidents(&all()).await.unwrap(),
        [],
        "nothing was written over the gap"
    );
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 1)));
    write_again(&s, &effects).await;
    for i in &incidents[1..] {
        assert_eq!(s.incident(i.id).await.unwrap().as_ref(), Some(i));
    }
    // Gone altogether, and read before anybody wrote.
    script(
        &s,
        [
            "DELETE FROM sink_cursors".to_owned(),
            "DELETE FROM incidents".to_owned(),
        ],
    )
    .await;
    assert_eq!(s.effect_cursor().await.unwrap(), None);
    assert_lost(s.apply_effects(&effects[3..], cursor(1, 5)).await);
    assert_eq!(s.effect_cursor().await.unwrap(), None);
    write_again(&s, &effects).await;
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 4)));
    // Somebody else's is no loss.
    assert_foreign(s.apply_effects(&[], cursor(2, 9)).await);
    s.adopt(Sink::Effects, None).await.unwrap();
    s.apply_effects(&[], cursor(2, 9)).await.unwrap();
    s.adopt(Sink::Effects, Some(cursor(2, 3))).await.unwrap();
    s.apply_effects(&[], cursor(2, 4)).await.unwrap();
}

fn all() -> crate::ports::incidents::IncidentFilter {
    crate::ports::incidents::IncidentFilter {
        limit: 100,
        ..Default::default()
    }
}

/// Keys, people, secret, configuration: all are there again, and whoever wrote begins again.
async fn gets_everything_back<D: Database>(open: impl AsyncFn() -> Relational<D>, lose: impl AsyncFn(&Relational<D>)) {
    let (gateway, dashboard) = (Arc::new(open().await), open().await);
    let (kept, revoked) = (key("kept"), key("revoked"));
    gateway.insert_key(&kept.row).await.unwrap();
    // Made by another process.
    dashboard.insert_key(&revoked.row).await.unwrap();
    dashboard.put_person(&person("anna")).await.unwrap();
    dashboard.put_person(&person("gone")).await.unwrap();
    let cache = KeyCache::load(gateway.clone()).await.unwrap();
    assert_eq!(gateway.people().await.unwrap().len(), 2);
    dashboard.revoke_key(&revoked.row.id, NOW).await.unwrap();
    dashboard.remove_person("gone").await.unwrap();
    assert!(cache.refresh().await.unwrap());
    let people = gateway.people().await.unwrap();
    assert_eq!(people, [person("anna")]);
    let secret = gateway.link_secret([3; 32]).await.unwrap();
    let claim = Claim {
        owner: "g".to_owned(),
        journal: JournalId(1),
        place: "p".to_owned(),
        lease: Span::mins(1),
        above: 0,
    };
    gateway.claim_site(&claim, NOW).await.unwrap();
    let configuration = Configuration {
        version: 5,
        rules: default_rules(&RouteId::new("r")).into(),
        ..Configuration::default()
    };
    gateway.put_configuration(&configuration).await.unwrap();
    let (effects, incidents) = effects(5);
    write_again(&*gateway, &effects[..4]).await;
    gateway.write_rows(&[rollup(2.0)], &[], cursor(1, 9)).await.unwrap();
    let generations = (
        dashboard.keys_generation().await.unwrap(),
        gateway.people_generation().await.unwrap(),
        dashboard.configuration_generation().await.unwrap(),
    );

    lose(&*gateway).await;
    assert_lost(gateway.apply_effects(&effects[4..], cursor(1, 5)).await);
    assert_lost(gateway.write_rows(&[rollup(2.0)], &[], cursor(1, 10)).await);
    assert_eq!(gateway.effect_cursor().await.unwrap(), None);
    assert_eq!(gateway.row_cursor().await.unwrap(), None);
    write_again(&*gateway, &effects).await;
    gateway.write_rows(&[rollup(2.0)], &[], cursor(1, 9)).await.unwrap();
    for i in &incidents {
        assert_eq!(gateway.incident(i.id).await.unwrap().as_ref(), Some(i));
    }
    assert_eq!(sums(&*gateway).await, [2.0]);
    // Whoever looks, in this process, in another one or in one that comes new, finds them as they were.
    assert!(cache.find(&kept.text).is_some());
    cache.refresh().await.unwrap();
    assert_eq!(*cache.find(&kept.text).unwrap(), kept.row);
    assert!(cache.find(&revoked.text).is_none());
    assert!(dashboard.keys_generation().await.unwrap() > generations.0);
    assert!(gateway.people_generation().await.unwrap() > generations.1);
    assert!(dashboard.configuration_generation().await.unwrap() > generations.2);
    let newcomer = open().await;
    for s in [&*gateway, &dashboard, &newcomer] {
        let mut keys = s.keys().await.unwrap();
        keys.sort_by_key(|k| k.name.clone());
        assert_eq!(keys[0], kept.row);
        assert_eq!(
            (keys.len(), keys[1].hash, keys[1].revoked_at),
            (2, revoked.row.hash, Some(NOW))
        );
        assert_eq!(s.people().await.unwrap(), people);
        assert_eq!(s.link_secret([9; 32]).await.unwrap(), secret);
        let published = s.configuration(None).await.unwrap().expect("it is there again");
        assert_eq!(*published.configuration, configuration);
        assert_eq!(s.owner().await.unwrap().unwrap().epoch, 1);
        assert!(!s.heal().await.unwrap(), "all is well");
    }
    // And once more.
    lose(&*gateway).await;
    assert!(gateway.heal().await.unwrap());
    assert_lost(gateway.apply_effects(&[], cursor(1, 6)).await);
    write_again(&*gateway, &effects).await;
    assert_eq!(gateway.keys().await.unwrap().len(), 2);
}

pub async fn an_emptied_store_gets_back_what_no_journal_holds<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    gets_everything_back(open, async |s| drop_tables(s).await).await;
}

pub async fn rows_that_go_away_are_noticed_too<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    gets_everything_back(open, async |s| delete_rows(s).await).await;
}

/// Another process (`andon migrate`, `andon key create`) was first at the emptied store.
pub async fn keys_and_people_outlive_a_store_that_was_made_anew<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let s = Arc::new(open().await);
    let (old, new) = (key("old"), key("new"));
    s.insert_key(&old.row).await.unwrap();
    s.put_person(&person("anna")).await.unwrap();
    let cache = KeyCache::load(s.clone()).await.unwrap();
    let people_generation = s.people_generation().await.unwrap();
    drop_tables(&s).await;
    let other = open().await;
    assert_eq!(other.keys().await.unwrap(), []);
    other.insert_key(&new.row).await.unwrap();
    other.put_person(&person("bob")).await.unwrap();
    // The counts of the new store are those of the old one: they do not tell.
    assert!(cache.find(&old.text).is_some());
    let _ = cache.refresh().await;
    assert!(cache.find(&old.text).is_some(), "not for a moment");
    cache.refresh().await.unwrap();
    assert!(cache.find(&old.text).is_some() && cache.find(&new.text).is_some());
    assert!(s.people_generation().await.unwrap() > people_generation);
    assert_eq!(s.people().await.unwrap(), [person("anna"), person("bob")]);
    assert_eq!(other.keys().await.unwrap().len(), 2);
}

/// The same identity: what it says is so, also that a key is not there yet.
pub async fn a_restored_store_is_believed<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let s = open().await;
    let (early, late) = (key("early"), key("late"));
    s.insert_key(&early.row).await.unwrap();
    s.insert_key(&late.row).await.unwrap();
    assert_eq!(s.keys().await.unwrap().len(), 2);
    script(
        &s,
        [
            "DELETE FROM api_keys WHERE name = 'late'".to_owned(),
            "DELETE FROM people".to_owned(),
        ],
    )
    .await;
    assert_eq!(s.keys().await.unwrap(), [early.row]);
    assert!(!s.heal().await.unwrap());
}

pub async fn a_lost_table_comes_back_and_is_filled_again<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let s = open().await;
    let (effects, incidents) = effects(3);
    write_again(&s, &effects).await;
    s.write_rows(&[rollup(4.0)], &[], cursor(1, 9)).await.unwrap();
    s.insert_key(&key("a").row).await.unwrap();
    for lost in ["incidents", "api_keys"] {
        script(&s, [format!("DROP TABLE {lost}")]).await;
        assert!(s.heal().await.unwrap());
    }
    assert_lost(s.apply_effects(&[], cursor(1, 4)).await);
    write_again(&s, &effects).await;
    assert_eq!(s.incident(incidents[0].id).await.unwrap().as_ref(), Some(&incidents[0]));
    assert_eq!(s.keys().await.unwrap().len(), 1);
    // What was not lost goes on where it was.
    s.write_rows(&[rollup(4.0)], &[], cursor(1, 10)).await.unwrap();
    assert_eq!(sums(&s).await, [8.0]);
    // Noticed by whoever writes, without being asked.
    script(
        &s,
        ["DROP TABLE alerts".to_owned(), "DROP TABLE site_values".to_owned()],
    )
    .await;
    let alert = Effect::Alert(Box::new(sample::alert(&mut StdRng::seed_from_u64(2), incidents[0].id)));
    assert_lost(s.apply_effects(std::slice::from_ref(&alert), cursor(1, 4)).await);
    assert_lost(s.apply_effects(std::slice::from_ref(&alert), cursor(1, 4)).await);
    write_again(&s, &effects).await;
    assert_eq!(s.apply_effects(&[alert], cursor(1, 4)).await.unwrap().new.len(), 1);
}

/// Roll-ups are sums: written again over what is there they would be wrong.
pub async fn a_lost_cursor_does_not_count_rows_twice<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let s = open().await;
    s.write_rows(&[rollup(1.0)], &[], cursor(1, 1)).await.unwrap();
    s.write_rows(&[rollup(1.0)], &[], cursor(1, 2)).await.unwrap();
    for lose in ["DELETE FROM sink_cursors", "DROP TABLE sink_cursors"] {
        script(&s, [lose.to_owned()]).await;
        assert_lost(s.write_rows(&[rollup(1.0)], &[], cursor(1, 3)).await);
        assert_eq!(s.row_cursor().await.unwrap(), Some(cursor(1, 2)));
    }
    s.write_rows(&[rollup(1.0)], &[], cursor(1, 3)).await.unwrap();
    assert_eq!(sums(&s).await, [3.0]);
    // Without the sums the cursor means nothing.
    script(&s, ["DROP TABLE reading_minutes".to_owned()]).await;
    assert_lost(s.write_rows(&[rollup(1.0)], &[], cursor(1, 4)).await);
    assert_eq!(s.row_cursor().await.unwrap(), None);
}

pub async fn who_owns_an_emptied_site_still_owns_it<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let claim = |owner: &str, above| Claim {
        owner: owner.to_owned(),
        journal: JournalId(1),
        place: owner.to_owned(),
        lease: Span::mins(1),
        above,
    };
    let a = open().await;
    let epoch = a.claim_site(&claim("a", 6), NOW).await.unwrap().epoch;
    assert_eq!(epoch, 7);
    drop_tables(&a).await;
    a.renew(epoch, Span::mins(1), NOW).await.unwrap();
    assert_eq!(
        a.owner().await.unwrap().unwrap().epoch,
        epoch,
        "the number does not begin again"
    );
    a.apply_effects(&[], cursor(1, 1)).await.unwrap();
    let b = open().await;
    assert!(b.claim_site(&claim("b", 0), NOW).await.is_err());
    // Somebody else was first: he has it.
    drop_tables(&a).await;
    let c = open().await;
    c.claim_site(&claim("c", epoch), NOW).await.unwrap();
    for _ in 0..2 {
        let e = a.renew(epoch, Span::mins(1), NOW).await.unwrap_err();
        assert!(matches!(e, StoreError::Fenced { .. }), "{e}");
        assert!(a.apply_effects(&[], cursor(1, 2)).await.is_err());
    }
    assert_eq!(c.owner().await.unwrap().unwrap().owner, "c");
}

/// The alerts come back out of the journal; who was told of them is told of the others only, and not sooner than promised.
pub async fn nobody_is_told_again_by_an_emptied_store<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let s = open().await;
    assert_eq!(s.effect_cursor().await.unwrap(), None);
    let alerts = alerts(&s, 3).await;
    let expand = async |s: &Relational<D>, n: usize| {
        let d = delivery(&alerts[n], &anna());
        assert!(s.expand(alerts[n].id, std::slice::from_ref(&d), at(1)).await.unwrap());
        d.id
    };
    let (sent, _waiting) = (expand(&s, 0).await, expand(&s, 1).await);
    let mut decided = decision(&anna(), 0);
    decided.slot.window_end = Some(at(310));
    decided.notices = vec![(notice(1, &anna(), true), vec![sent])];
    assert!(s.decide(&decided, at(10)).await.unwrap());
    DeliveryStore::claim(&s, NoticeId(1), "n", at(10), Span::secs(80))
        .await
        .unwrap()
        .unwrap();
    drop_tables(&s).await;
    // It is on its way when the store goes; that it arrived is known all the same.
    let outcome = Outcome::Sent {
        answer: "250 ok".to_owned(),
        window_end: at(320),
        told: vec![told(5, None)],
    };
    assert!(!matches!(s.finish(NoticeId(1), "n", &outcome, at(20)).await, Ok(true)));
    s.heal().await.unwrap();
    assert_eq!(s.effect_cursor().await.unwrap(), None);
    super::deliveries::alerts(&s, 3).await;
    assert_eq!(s.unexpanded(9).await.unwrap().len(), 3);
    for n in 0..2 {
        expand(&s, n).await;
    }
    let rows = s.deliveries_of(alerts[0].incident).await.unwrap();
    let states: Vec<_> = rows.iter().map(|d| d.state).collect();
    assert_eq!(states, [DeliveryState::Sent, DeliveryState::Waiting]);
    assert!(rows[0].reason.as_ref().unwrap().contains("emptied"));
    assert_eq!(s.slot(&anna()).await.unwrap().window_end, Some(at(310)));
    assert_eq!(s.told(&anna(), alerts[0].incident).await.unwrap(), Some(told(5, None)));

    // The next process knows who was told only from the store: what is finished there counts as told.
    let next = open().await;
    assert_eq!(next.effect_cursor().await.unwrap(), Some(cursor(1, 1)));
    drop_tables(&next).await;
    next.heal().await.unwrap();
    assert_lost(next.apply_effects(&[], cursor(1, 2)).await);
    assert_eq!(next.effect_cursor().await.unwrap(), None);
    super::deliveries::alerts(&next, 3).await;
    assert_eq!(next.unexpanded(9).await.unwrap(), [alerts[1].id, alerts[2].id]);
    // What another process told is known to one that has looked.
    let other = open().await;
    assert_eq!(other.remember_sent(at(0)).await.unwrap(), None);
    let d = delivery(&alerts[1], &anna());
    assert!(
        next.expand(alerts[1].id, std::slice::from_ref(&d), at(30))
            .await
            .unwrap()
    );
    let mut decided = decision(&anna(), next.slot(&anna()).await.unwrap().version);
    decided.notices = vec![(notice(2, &anna(), true), vec![d.id])];
    assert!(next.decide(&decided, at(31)).await.unwrap());
    DeliveryStore::claim(&next, NoticeId(2), "n", at(400), Span::secs(90))
        .await
        .unwrap()
        .unwrap();
    assert!(next.finish(NoticeId(2), "n", &outcome, at(401)).await.unwrap());
    assert_eq!(other.remember_sent(at(0)).await.unwrap(), Some(at(401)));
    assert_eq!(other.remember_sent(at(402)).await.unwrap(), None);
    drop_tables(&next).await;
    next.heal().await.unwrap();
    assert_eq!(next.effect_cursor().await.unwrap(), None);
    super::deliveries::alerts(&next, 3).await;
    assert!(next.unexpanded(9).await.unwrap().contains(&alerts[1].id));
    assert!(
        other
            .expand(alerts[1].id, std::slice::from_ref(&d), at(500))
            .await
            .unwrap()
    );
    let rows = next.deliveries_of(alerts[1].incident).await.unwrap();
    let found = rows.iter().find(|row| row.id == d.id).unwrap();
    assert_eq!(found.state, DeliveryState::Sent);
    // What is new is told.
    let fresh = sample::alert(&mut StdRng::seed_from_u64(77), alerts[0].incident);
    next.apply_effects(&[Effect::Alert(Box::new(fresh.clone()))], cursor(1, 2))
        .await
        .unwrap();
    assert!(next.unexpanded(9).await.unwrap().contains(&fresh.id));
}
