//! What PostgreSQL refuses of roll-ups and effects for itself: the others are there, and the cursor with them.

use super::open;
use super::site::Site;
use andon_engine::effect::{Effect, Registered};
use andon_engine::subject::SubjectKind;
use andon_engine::time::Timestamp;
use andon_storage::conformance::cursor;
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::rows::{EffectStore, Rollup, RowStore};
use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;

/// Longer than an entry of an index may be, and nothing that it could be compressed to.
fn long_name() -> String {
    Alphanumeric.sample_string(&mut StdRng::seed_from_u64(7), 20_000)
}

#[tokio::test]
async fn a_name_that_no_index_takes_costs_no_other_roll_up() {
    let site = Site::new();
    let s = open(&site).await;
    let mut rows: Vec<_> = (0..2_000)
        .map(|n| Rollup::of(&format!("D{n}"), "load", Timestamp(0), 1.0, Timestamp(1)))
        .collect();
    rows[700].device = long_name();
    let refused = s.write_rows(&rows, &[], cursor(1, 5)).await.unwrap();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].reason.contains("54000"), "{}", refused[0].reason);
    for n in [0, 699, 701, 1_999] {
        let got = s.rollups(&format!("D{n}"), "load", Timestamp(0), Timestamp(1), 1).await;
        assert_eq!(got.unwrap().len(), 1, "{n}");
    }
    assert_eq!(s.row_cursor().await.unwrap(), Some(cursor(1, 5)));
    let aside = s.quarantined(10).await.unwrap();
    assert_eq!((aside.len(), &*aside[0].stage), (1, "rows"));
}

#[tokio::test]
async fn a_name_that_no_index_takes_costs_no_other_effect() {
    let site = Site::new();
    let s = open(&site).await;
    let registered = |id: &str| {
        Effect::Registered(Registered {
            kind: SubjectKind::Device,
            id: id.into(),
            first_seen: Timestamp(1),
        })
    };
    let effects = [registered("a"), registered(&long_name()), registered("b")];
    let applied = s.apply_effects(&effects, cursor(1, 5)).await.unwrap();
    assert_eq!(applied.refused.iter().map(|r| r.index).collect::<Vec<_>>(), [1]);
    let plant = s.plant(SubjectKind::Device, None, 10).await.unwrap();
    assert_eq!(plant.iter().map(|p| &*p.id).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(s.effect_cursor().await.unwrap(), Some(cursor(1, 5)));
}
