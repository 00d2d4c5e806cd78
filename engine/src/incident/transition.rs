//! Which change of an incident is possible when, in one table.

use super::Activity;

/// What happens to an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The condition began to hold.
    Opened,
    /// Found after its time was over: it is written as closed.
    FoundLate,
    /// The condition holds again within the reopen time.
    Reopened,
    /// A further record of it.
    Joined,
    /// The condition no longer holds.
    ReturnedToNormal,
    Acknowledged,
    Commented,
    Shelved,
    Unshelved,
    /// By a person, by time, or with its rule.
    Closed,
}

impl Change {
    pub const ALL: [Change; 10] = [
        Change::Opened,
        Change::FoundLate,
        Change::Reopened,
        Change::Joined,
        Change::ReturnedToNormal,
        Change::Acknowledged,
        Change::Commented,
        Change::Shelved,
        Change::Unshelved,
        Change::Closed,
    ];
}

/// The activity after `change`, from `before` (`None`: there is no incident yet); `None` when the change is not possible.
pub fn after(before: Option<Activity>, change: Change) -> Option<Activity> {
    use Activity::{Active, Closed, ReturnedToNormal};
    Some(match (before, change) {
        (None, Change::Opened) => Active,
        (None, Change::FoundLate) => Closed,
        (Some(ReturnedToNormal), Change::Reopened) => Active,
        (Some(Active), Change::ReturnedToNormal) => ReturnedToNormal,
        (Some(Active | ReturnedToNormal), Change::Closed) => Closed,
        // A record of an ended occurrence may come late: it is counted, and changes no state.
        (Some(same), Change::Joined) => same,
        (
            Some(same @ (Active | ReturnedToNormal)),
            Change::Acknowledged | Change::Commented | Change::Shelved | Change::Unshelved,
        ) => same,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, as a person would write it down: rows are states, columns the changes in the order of [`Change::ALL`].
    #[test]
    fn every_state_allows_exactly_these_changes() {
        let letter = |a: Option<Activity>| match a {
            None => '-',
            Some(Activity::Active) => 'A',
            Some(Activity::ReturnedToNormal) => 'N',
            Some(Activity::Closed) => 'C',
        };
        for (before, row) in [
            // Opened, FoundLate, Reopened, Joined, ReturnedToNormal, Acknowledged, Commented, Shelved, Unshelved, Closed
            (None, "AC--------"),
            (Some(Activity::Active), "---ANAAAAC"),
            (Some(Activity::ReturnedToNormal), "--AN-NNNNC"),
            (Some(Activity::Closed), "---C------"),
        ] {
            let got: String = Change::ALL.into_iter().map(|c| letter(after(before, c))).collect();
            assert_eq!(got, row, "from {before:?}");
        }
    }
}
