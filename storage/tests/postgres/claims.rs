//! Claims of messages by notifiers whose clocks differ.

use super::open;
use super::site::Site;
use andon_engine::time::{Span, Timestamp};
use andon_storage::ports::deliveries::{
    ChannelKind, Decision, DeliveryStore, Notice, NoticeId, NoticeItem, NoticeKind, NoticeState, Slot, Target,
};

fn at(s: i64) -> Timestamp {
    Timestamp(1_800_000_000_000_000).plus(Span::secs(s))
}

#[tokio::test]
async fn a_notifier_whose_clock_is_ahead_takes_no_message_that_another_is_sending() {
    let site = Site::new();
    let (a, b) = (open(&site).await, open(&site).await);
    let id = NoticeId(1);
    queue(&a, id).await;
    let lease = Span::secs(60);
    assert!(a.claim(id, "a", at(10), lease).await.unwrap().is_some());
    for skew in [90, 3_600, -90] {
        let now = at(10 + skew);
        assert_eq!(b.sendable(now, 10).await.unwrap(), [], "{skew} s ahead");
        assert_eq!(b.claim(id, "b", now, lease).await.unwrap(), None, "{skew} s ahead");
        if skew > 0 {
            let wait = b.next_due(now).await.unwrap().unwrap().since(now);
            assert!(wait > Span::ZERO && wait <= lease, "{wait:?}");
        }
    }
    assert_eq!(a.release_claims("a").await.unwrap(), 1);
    assert!(b.claim(id, "b", at(100), lease).await.unwrap().is_some());
}

async fn queue(store: &impl DeliveryStore, id: NoticeId) {
    let target = Target::new(ChannelKind::Email, "anna");
    let notice = Notice {
        id,
        target: target.clone(),
        kind: NoticeKind::Alert,
        route: None,
        items: Vec::<NoticeItem>::new(),
        claims_slot: false,
        state: NoticeState::Queued,
        attempts: 0,
        due: at(10),
        answer: None,
        created_at: at(10),
        finished_at: None,
    };
    let decision = Decision {
        target,
        version: 0,
        slot: Slot::default(),
        changes: vec![],
        notices: vec![(notice, vec![])],
        repeats: vec![],
    };
    assert!(store.decide(&decision, at(10)).await.unwrap());
}
