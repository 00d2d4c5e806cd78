use super::*;

fn stored(id: &str, place: &str) -> Stored {
    Stored {
        record_id: place.into(),
        id: Some(id.into()),
        ..Stored::default()
    }
}

fn fates(of: &[(&str, Fate)]) -> BTreeMap<String, Fate> {
    of.iter().map(|(id, f)| ((*id).to_owned(), *f)).collect()
}

/// The names of the checks that fail.
fn failing(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|f| !f.ok).map(|f| f.check.as_str()).collect()
}

const SENT: [(&str, Fate); 3] = [("a", Fate::Acknowledged), ("b", Fate::Sent), ("c", Fate::Rejected)];

#[test]
fn what_was_acknowledged_must_be_there_once_and_what_was_only_sent_may_be() {
    let judge = |s: &[Stored]| judge_records(&fates(&SENT), &BTreeSet::new(), s);
    assert_eq!(failing(&judge(&[stored("a", "1")])), Vec::<&str>::new());
    assert_eq!(
        failing(&judge(&[stored("a", "1"), stored("b", "2")])),
        Vec::<&str>::new()
    );
    assert_eq!(failing(&judge(&[])), ["acknowledged is stored"]);
    assert_eq!(failing(&judge(&[stored("a", "1"), stored("a", "2")])), ["stored once"]);
    assert_eq!(
        failing(&judge(&[stored("a", "1"), stored("b", "2"), stored("b", "3")])),
        ["stored once"]
    );
    assert_eq!(
        failing(&judge(&[stored("a", "1"), stored("c", "2")])),
        ["rejected is not stored"]
    );
    assert_eq!(
        failing(&judge(&[stored("a", "1"), stored("z", "2")])),
        ["nothing invented"]
    );
    assert_eq!(
        failing(&judge(&[stored("a", "1"), stored("b", "1")])),
        ["record_id is unique"]
    );
    let nameless = Stored {
        record_id: "9".into(),
        ..Stored::default()
    };
    assert_eq!(failing(&judge(&[stored("a", "1"), nameless])), ["nothing invented"]);
}

#[test]
fn a_record_of_readings_only_is_not_looked_for_in_the_log() {
    let readings_only = BTreeSet::from(["a".to_owned()]);
    assert_eq!(
        failing(&judge_records(&fates(&SENT), &readings_only, &[])),
        Vec::<&str>::new()
    );
}

#[test]
fn a_finding_names_a_few_and_counts_all() {
    let f = Finding::none("x", "y", (0..40).map(|n| n.to_string()).collect());
    assert_eq!(
        (f.ok, f.examples.len(), f.detail.as_str()),
        (false, EXAMPLES, "y; 40 wrong")
    );
}

fn expected(subject: &str) -> ExpectedIncident {
    ExpectedIncident::new("errors-per-device", SubjectKind::Device, subject, 5, Timestamp(100))
}

fn raised(subject: &str) -> Raised {
    Raised {
        id: format!("id-{subject}"),
        rule: "errors-per-device".into(),
        subject_kind: SubjectKind::Device,
        subject: subject.into(),
        opened_at: Timestamp(100),
        records: 5,
        reopened: 0,
        fingerprints: None,
        new_faults: None,
    }
}

#[test]
fn incidents_must_be_the_labelled_ones_once_each() {
    let labels = [
        Label::Incident(expected("r-a")),
        Label::NoIncident {
            subject_kind: SubjectKind::Device,
            subject: "r-b".into(),
        },
    ];
    let judge = |r: &[Raised]| judge_incidents(&labels, "r-", r);
    let foreign = raised("other-plant");
    assert_eq!(failing(&judge(&[raised("r-a"), foreign])), Vec::<&str>::new());
    assert_eq!(failing(&judge(&[])), ["each expected incident once"]);
    assert_eq!(
        failing(&judge(&[
            raised("r-a"),
            Raised {
                id: "2".into(),
                ..raised("r-a")
            }
        ])),
        ["each expected incident once"]
    );
    assert_eq!(failing(&judge(&[raised("r-a"), raised("r-b")])), ["no other incident"]);
    // Another rule for the labelled subject is an incident that nobody expects, too.
    let other_rule = Raised {
        rule: "fatal-per-device".into(),
        ..raised("r-a")
    };
    assert_eq!(failing(&judge(&[raised("r-a"), other_rule])), ["no other incident"]);
}

#[test]
fn what_an_incident_holds_is_compared() {
    let label = ExpectedIncident {
        fingerprints: Some(1),
        new_faults: Some(0),
        ..expected("r-a")
    };
    let good = Raised {
        fingerprints: Some(1),
        new_faults: Some(0),
        ..raised("r-a")
    };
    let judge = |r: Raised| failing(&judge_incidents(&[Label::Incident(label.clone())], "r-", &[r])).len();
    assert_eq!(judge(good.clone()), 0);
    for wrong in [
        Raised {
            records: 10,
            ..good.clone()
        },
        Raised {
            opened_at: Timestamp(101),
            ..good.clone()
        },
        Raised {
            reopened: 1,
            ..good.clone()
        },
        Raised {
            fingerprints: Some(200),
            ..good.clone()
        },
        Raised {
            fingerprints: None,
            ..good.clone()
        },
        Raised {
            new_faults: Some(1),
            ..good
        },
    ] {
        assert_eq!(judge(wrong), 1);
    }
}

#[test]
fn answers_must_add_up_exactly_unless_one_was_lost_on_the_way() {
    let labels = [Label::Totals {
        accepted: 10,
        duplicates: 2,
        rejected: 1,
    }];
    let judge = |accepted, duplicates, rejected, uncertain| {
        failing(&judge_labels(
            &labels,
            Totals {
                accepted,
                duplicates,
                rejected,
                uncertain,
            },
            &[],
        ))
        .len()
    };
    assert_eq!(judge(10, 2, 1, 0), 0);
    assert_eq!(judge(9, 3, 1, 0), 1);
    assert_eq!(judge(9, 3, 1, 1), 0);
    assert_eq!(judge(9, 2, 1, 1), 1);
    assert_eq!(judge(10, 2, 0, 1), 1);
}

#[test]
fn a_labelled_text_is_compared_with_its_flags() {
    let labels = [Label::Stored {
        id: "a".into(),
        message: "Tür".into(),
        flags: vec!["latin1".into()],
    }];
    let judge = |s: Stored| failing(&judge_labels(&labels, Totals::default(), &[s])).len();
    let good = Stored {
        message: Some("Tür".into()),
        flags: vec!["time_missing".into(), "latin1".into()],
        ..stored("a", "1")
    };
    assert_eq!(judge(good.clone()), 0);
    assert_eq!(
        judge(Stored {
            message: Some("T\u{FFFD}r".into()),
            ..good.clone()
        }),
        1
    );
    assert_eq!(
        judge(Stored {
            flags: vec![],
            ..good.clone()
        }),
        1
    );
    assert_eq!(
        judge(Stored {
            id: Some("b".into()),
            ..good
        }),
        1
    );
}

fn mail(id: &str, text: &str) -> Mail {
    let to = "lead@example.org".into();
    Mail {
        message_id: id.into(),
        to,
        subject: String::new(),
        text: text.into(),
        kind: "alert".into(),
    }
}

#[test]
fn an_e_mail_sent_again_is_counted_and_allowed_once_a_crash() {
    let mails = [mail("<1>", ""), mail("<1>", ""), mail("<2>", "")];
    assert!(!judge_repeats(&mails, 0).ok);
    assert!(judge_repeats(&mails, 1).ok);
    assert!(judge_repeats(&mails[1..], 0).ok);
}

#[test]
fn two_messages_about_one_incident_are_told_twice_unless_one_is_the_digest() {
    let r = raised("r-a");
    let one = mail("<1>", "see /incidents/id-r-a");
    let two = mail("<2>", "see /incidents/id-r-a");
    let digest = Mail {
        kind: "digest".into(),
        ..two.clone()
    };
    assert!(!judge_first_told(&[one.clone(), two], std::slice::from_ref(&r)).ok);
    assert!(judge_first_told(&[one.clone(), digest], std::slice::from_ref(&r)).ok);
    assert!(judge_first_told(&[one.clone(), one], &[r]).ok);
}
