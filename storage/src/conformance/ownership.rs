//! Checks of [`OwnerStore`] and of the fence.

use super::sample::{self, HOSTILE, huge};
use super::{assert_refused, cursor};
use crate::ports::deliveries::DeliveryStore;
use crate::ports::rows::{EffectStore, RowStore};
use crate::ports::site::{Claim, ClaimError, LEASE_MAX, LEASE_MIN, Owned, OwnerStore, SiteStore};
use crate::ports::{Result, StoreError};
use crate::relational::Relational;
use crate::relational::database::{Database, Transaction, Value};
use andon_engine::control::Operation;
use andon_engine::effect::Effect;
use andon_engine::ids::{JournalId, OperationId};
use andon_engine::rule::Configuration;
use andon_engine::time::{Span, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

fn claim(owner: &str) -> Claim {
    Claim {
        owner: owner.to_owned(),
        journal: JournalId(7),
        place: format!("place of {owner}"),
        lease: Span::mins(1),
        above: 0,
    }
}

#[track_caller]
fn assert_fenced<T: std::fmt::Debug>(result: Result<T>) {
    assert!(
        matches!(result, Err(StoreError::Fenced { .. })),
        "should be fenced: {result:?}"
    );
}

/// Claims until the former lease has run out, by whatever clock the store has.
async fn claim_when_free(s: &impl OwnerStore, claim: &Claim) -> Owned {
    let mut now = NOW;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        match s.claim_site(claim, now).await {
            Ok(owned) => return owned,
            Err(ClaimError::Taken(_)) => assert!(tokio::time::Instant::now() < deadline, "the lease does not end"),
            Err(e) => panic!("{e}"),
        }
        now = now.plus(Span::millis(100));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn one_gateway_owns_a_site<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let (a, b) = (open().await, open().await);
    assert_eq!(a.owner().await.unwrap(), None);
    let owned = a.claim_site(&claim("host a, process 1"), NOW).await.unwrap();
    assert_eq!(owned.epoch, 1);
    let owner = b.owner().await.unwrap().unwrap();
    assert_eq!(
        (owner.epoch, owner.owner.as_str(), owner.journal),
        (1, "host a, process 1", JournalId(7))
    );
    assert_eq!(owner.lease_until, owned.lease_until);
    assert_eq!(owner.since.plus(Span::mins(1)), owned.lease_until);
    let Err(ClaimError::Taken(by)) = b.claim_site(&claim("host b, process 1"), NOW).await else {
        panic!("it is taken");
    };
    assert_eq!(by, owner);
    let sentence = ClaimError::Taken(by).to_string();
    for part in [
        "host a, process 1",
        &owner.since.to_string(),
        &owner.lease_until.to_string(),
        "stop that one",
    ] {
        assert!(sentence.contains(part), "{sentence} should say {part}");
    }
    let until = a.renew(1, Span::mins(2), NOW.plus(Span::secs(1))).await.unwrap();
    assert!(until > owned.lease_until, "renewed");
    assert_eq!(b.owner().await.unwrap().unwrap().lease_until, until);
    assert_eq!(b.owner().await.unwrap().unwrap().since, owner.since);
    // Given back, it is free at once; the number goes on.
    assert!(
        !b.release_site(2, NOW).await.unwrap(),
        "nobody gives back what is another's"
    );
    assert!(a.release_site(1, NOW).await.unwrap());
    assert_eq!(b.claim_site(&claim("host b, process 1"), NOW).await.unwrap().epoch, 2);
    assert_fenced(a.renew(1, Span::mins(1), NOW).await);
    assert!(!a.release_site(1, NOW).await.unwrap());
}

pub async fn a_lease_that_ran_out_is_taken_over<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let (a, b) = (open().await, open().await);
    let short = Claim {
        lease: LEASE_MIN,
        ..claim("a")
    };
    a.claim_site(&short, NOW).await.unwrap();
    assert_eq!(claim_when_free(&b, &claim("b")).await.epoch, 2);
    assert_fenced(a.renew(1, LEASE_MIN, NOW).await);
    assert_eq!(b.owner().await.unwrap().unwrap().owner, "b");
    for lease in [
        Span(0),
        Span(-1),
        Span(LEASE_MIN.0 - 1),
        Span(LEASE_MAX.0 + 1),
        Span(i64::MAX),
    ] {
        let e = a.claim_site(&Claim { lease, ..claim("a") }, NOW).await.unwrap_err();
        assert!(matches!(e, ClaimError::Store(StoreError::Refused { .. })), "{e:?}");
        assert_refused(b.renew(2, lease, NOW).await);
    }
}

pub async fn a_restart_in_its_place_need_not_wait<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let (a, b) = (open().await, open().await);
    let first = claim("a, first run");
    a.claim_site(&first, NOW).await.unwrap();
    let again = |owner: &str, place: &str, journal| Claim {
        owner: owner.to_owned(),
        place: place.to_owned(),
        journal: JournalId(journal),
        ..first.clone()
    };
    // A copy of the folder, on this machine or on another, and another folder in its stead.
    for other in [
        again("copy", "elsewhere", 7),
        again("swapped", &first.place, 8),
        again("unknown", "", 7),
    ] {
        let e = b.claim_site(&other, NOW).await.unwrap_err();
        assert!(matches!(e, ClaimError::Taken(_)), "{other:?}: {e}");
    }
    let second = b
        .claim_site(&again("a, second run", &first.place, 7), NOW)
        .await
        .unwrap();
    assert_eq!(second.epoch, 2);
    assert_fenced(a.renew(1, Span::mins(1), NOW).await);
    // Two that do not know their place are not in the same.
    assert!(b.release_site(2, NOW).await.unwrap());
    b.claim_site(&again("unknown", "", 7), NOW).await.unwrap();
    assert!(a.claim_site(&again("unknown too", "", 7), NOW).await.is_err());
}

pub async fn an_epoch_is_above_all_that_were_met<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let a = open().await;
    let above = |above| Claim { above, ..claim("a") };
    assert_eq!(a.claim_site(&above(41), NOW).await.unwrap().epoch, 42);
    assert_eq!(a.claim_site(&above(7), NOW).await.unwrap().epoch, 43);
    assert_eq!(a.claim_site(&above(100), NOW).await.unwrap().epoch, 101);
    for beyond in [u64::MAX, i64::MAX as u64] {
        let e = a.claim_site(&above(beyond), NOW).await.unwrap_err();
        assert!(matches!(e, ClaimError::Store(StoreError::Refused { .. })), "{e:?}");
    }
    assert_eq!(
        a.claim_site(&above(i64::MAX as u64 - 1), NOW).await.unwrap().epoch,
        i64::MAX as u64
    );
    let e = a.claim_site(&above(0), NOW).await.unwrap_err();
    assert!(
        matches!(e, ClaimError::Store(StoreError::Refused { .. })),
        "no epoch is given twice: {e:?}"
    );
}

pub async fn of_several_at_once_one_wins<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let (a, b, c, d) = (open().await, open().await, open().await, open().await);
    for round in 1..=5 {
        let (ca, cb, cc, cd) = (claim("a"), claim("b"), claim("c"), claim("d"));
        let results = tokio::join!(
            a.claim_site(&ca, NOW),
            b.claim_site(&cb, NOW),
            c.claim_site(&cc, NOW),
            d.claim_site(&cd, NOW)
        );
        let results = [results.0, results.1, results.2, results.3];
        let won: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert_eq!(won[0].epoch, round);
        for lost in results.iter().filter_map(|r| r.as_ref().err()) {
            assert!(matches!(lost, ClaimError::Taken(by) if by.epoch == round), "{lost:?}");
        }
        assert!(a.release_site(round, NOW).await.unwrap());
    }
}

pub async fn hostile_names_of_owners_are_only_names<S: OwnerStore>(open: impl AsyncFn() -> S) {
    let a = open().await;
    for (n, text) in HOSTILE.iter().enumerate() {
        let named = Claim {
            place: (*text).to_owned(),
            lease: LEASE_MIN,
            ..claim(text)
        };
        assert_eq!(a.claim_site(&named, NOW).await.unwrap().epoch, n as u64 + 1);
        assert_eq!(a.owner().await.unwrap().unwrap().owner, *text);
        assert!(a.release_site(n as u64 + 1, NOW).await.unwrap());
    }
    let long = claim(&format!("{}\0", huge()));
    a.claim_site(&long, NOW).await.unwrap();
    let kept = a.owner().await.unwrap().unwrap().owner;
    assert!(kept.len() <= 256 && long.owner.starts_with(&kept), "{kept}");
}

/// Whatever a late owner does: nothing of it is written, and he is told why.
pub async fn a_late_owner_writes_nothing<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let mut rng = StdRng::seed_from_u64(5);
    let (a, b) = (open().await, open().await);
    let incident = sample::incident(&mut rng);
    let alert = sample::alert(&mut rng, incident.id);
    let effects = [
        Effect::Incident(Box::new(incident.clone())),
        Effect::Alert(Box::new(alert)),
    ];
    let quarantined = super::rows::quarantined(1, "late");
    a.claim_site(&claim("a"), NOW).await.unwrap();
    a.apply_effects(&effects[..1], cursor(1, 1)).await.unwrap();
    a.put_configuration(&Configuration::default()).await.unwrap();
    assert!(a.release_site(1, NOW).await.unwrap());
    b.claim_site(&claim("b"), NOW).await.unwrap();

    let e = a.apply_effects(&effects, cursor(1, 2)).await.unwrap_err();
    assert!(e.to_string().contains("gateway b"), "{e}");
    assert!(e.is_temporary(), "nothing is wrong with what was to be written");
    assert_fenced(a.apply_effects(&[], cursor(1, 2)).await);
    assert_fenced(
        a.write_rows(&[], std::slice::from_ref(&quarantined), cursor(1, 1))
            .await,
    );
    assert_fenced(a.quarantine(std::slice::from_ref(&quarantined)).await);
    assert_fenced(a.trim_quarantine(0).await);
    assert_fenced(a.expand(sample::alert(&mut rng, incident.id).id, &[], NOW).await);
    assert_fenced(a.release_claims("a").await);
    assert_fenced(a.prune_deliveries(NOW).await);
    assert_fenced(a.put_configuration(&Configuration::default()).await);
    assert_fenced(a.take_operations(9).await);
    assert_fenced(a.take_proposal().await);
    assert_fenced(a.answer_operation(OperationId(1), &Ok(()), NOW).await);
    assert_fenced(a.adopt(crate::relational::Sink::Effects, None).await);
    // Another handle of the late process.
    let more = open().await;
    more.fenced(1);
    assert_fenced(more.apply_effects(&effects, cursor(1, 2)).await);

    assert_eq!(b.effect_cursor().await.unwrap(), Some(cursor(1, 1)));
    assert_eq!(b.row_cursor().await.unwrap(), None);
    assert_eq!(b.quarantined(9).await.unwrap(), []);
    assert_eq!(b.unexpanded(9).await.unwrap(), []);
    // Who owns it goes on where he was, and reads are free to all.
    assert_eq!(b.apply_effects(&effects, cursor(1, 2)).await.unwrap().new.len(), 1);
    assert_eq!(a.effect_cursor().await.unwrap(), Some(cursor(1, 2)));
    // A process that owns nothing writes what is not the owner's.
    let operation = Operation {
        id: OperationId(9),
        ..super::exchange::operation(&mut rng)
    };
    open().await.request_operation(&operation).await.unwrap();
}

/// What the former owner began before the takeover is whole and before it; nothing of his comes after.
pub async fn a_takeover_waits_for_what_is_under_way<D: Database>(open: impl AsyncFn() -> Relational<D>) {
    let (a, b) = (open().await, open().await);
    a.claim_site(&claim("a"), NOW).await.unwrap();
    let mut tx = a.begin().await.unwrap();
    let insert = "INSERT INTO plant (kind, id, first_seen) VALUES ('device', 'D-1', 1)";
    tx.execute(insert.into(), vec![]).await.unwrap();
    // Renewals need not wait for a long transaction of their own process. Where there is one writer, everything waits.
    if D::NOW.is_some() {
        a.renew(1, Span::mins(1), NOW).await.unwrap();
    }
    let restarted = Claim {
        owner: "a again".to_owned(),
        ..claim("a")
    };
    let taking = b.claim_site(&restarted, NOW);
    tokio::pin!(taking);
    tokio::select! {
        biased;
        took = &mut taking => panic!("it did not wait: {took:?}"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    tx.commit().await.unwrap();
    assert_eq!(taking.await.unwrap().epoch, 2);
    let count = b
        .database()
        .fetch("SELECT COUNT(*) FROM plant".into(), Vec::<Value>::new())
        .await;
    assert_eq!(count.unwrap().remove(0).int().unwrap(), 1);
    assert_fenced(a.begin().await.map(drop));
}
