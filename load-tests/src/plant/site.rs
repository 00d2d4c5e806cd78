//! The site: areas, lines, gateways, devices, software and people, and its configuration for Andon.

use super::class::Class;
use std::fmt::Write as _;

pub const SITE_ID: &str = "nordhafen";
pub(super) const SITE_NAME: &str = "Nordhafen distribution centre";
pub const TIME_ZONE: &str = "Europe/Berlin";

/// Software that logs for itself.
pub const APPLICATIONS: [&str; 6] = [
    "wms",
    "wes",
    "erp-bridge",
    "fleet-manager",
    "label-service",
    "dock-planner",
];

/// Who is signed in at the work places; six of them are operators at a time, one shift each.
pub const OPERATORS: [&str; 18] = [
    "a.krause",
    "b.yilmaz",
    "c.nowak",
    "d.petrov",
    "e.lindqvist",
    "f.moreau",
    "g.schulz",
    "h.demir",
    "i.kowalski",
    "j.okafor",
    "k.brandt",
    "l.santos",
    "m.weber",
    "n.hoang",
    "o.fischer",
    "p.rossi",
    "q.jansen",
    "r.vogel",
];
pub(super) const OPERATORS_PER_SHIFT: usize = 6;

/// The old PC whose clock is an hour and a half behind, the label printer that writes Latin-1, and the press that speaks German.
pub(super) const WRONG_CLOCK: &str = "CMP-02";
pub(super) const LATIN1: &str = "LBL-03";
pub(super) const GERMAN: &str = "THM-02";

#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSpec {
    pub id: String,
    pub class: Class,
    pub area: &'static str,
    pub line: Option<&'static str>,
    pub gateway: Option<&'static str>,
}

/// Every device, in a fixed order.
pub fn devices() -> Vec<DeviceSpec> {
    // area, line, gateway, then class and how many of it stand there.
    type Place = (
        &'static str,
        Option<&'static str>,
        &'static str,
        &'static [(Class, usize)],
    );
    let places: [Place; 9] = [
        (
            "intake",
            None,
            "NET-G1",
            &[(Class::Cnv, 4), (Class::Scn, 4), (Class::Dws, 2), (Class::Plc, 1)],
        ),
        (
            "storage",
            None,
            "NET-G2",
            &[(Class::Srm, 6), (Class::Cnv, 6), (Class::Scn, 3), (Class::Plc, 2)],
        ),
        ("storage", None, "NET-G5", &[(Class::Agv, 12)]),
        ("cold-store", None, "NET-G2", &[(Class::Cld, 6), (Class::Cmp, 1)]),
        (
            "machining",
            Some("line-1"),
            "NET-G3",
            &[(Class::Cnc, 5), (Class::Rob, 3), (Class::Mtr, 6), (Class::Plc, 1)],
        ),
        (
            "machining",
            Some("line-2"),
            "NET-G3",
            &[
                (Class::Thm, 3),
                (Class::Rob, 2),
                (Class::Pmp, 4),
                (Class::Mtr, 6),
                (Class::Plc, 1),
            ],
        ),
        (
            "pick-pack",
            None,
            "NET-G4",
            &[
                (Class::Cnv, 8),
                (Class::Scn, 6),
                (Class::Lbl, 4),
                (Class::Dws, 2),
                (Class::Plc, 2),
            ],
        ),
        (
            "dispatch",
            None,
            "NET-G4",
            &[(Class::Srt, 2), (Class::Scn, 4), (Class::Cnv, 6), (Class::Plc, 1)],
        ),
        (
            "utilities",
            None,
            "NET-G3",
            &[(Class::Pwr, 2), (Class::Cmp, 2), (Class::Pmp, 2)],
        ),
    ];
    let mut out: Vec<DeviceSpec> = ["NET-G1", "NET-G2", "NET-G3", "NET-G4", "NET-G5"]
        .into_iter()
        .map(|id| DeviceSpec {
            id: id.to_owned(),
            class: Class::Net,
            area: "utilities",
            line: None,
            gateway: None,
        })
        .collect();
    let mut numbers = [0usize; Class::ALL.len()];
    for (area, line, gateway, groups) in places {
        for &(class, n) in groups {
            for _ in 0..n {
                let number = &mut numbers[class as usize];
                *number += 1;
                let id = format!("{}-{:02}", class.id(), number);
                out.push(DeviceSpec {
                    id,
                    class,
                    area,
                    line,
                    gateway: Some(gateway),
                });
            }
        }
    }
    out
}

/// The site as a configuration file of Andon: nothing but its version, the site and the devices, so that more can be added below.
pub fn configuration() -> String {
    let mut out =
        format!("version = 1\n\n[[sites]]\nid = \"{SITE_ID}\"\nname = \"{SITE_NAME}\"\ntime_zone = \"{TIME_ZONE}\"\n");
    for d in devices() {
        // Writing to a `String` cannot fail. No name of this site needs escaping.
        let _ = write!(
            out,
            "\n[[devices]]\nid = \"{}\"\nclass = \"{}\"\nsite = \"{SITE_ID}\"\narea = \"{}\"\n",
            d.id,
            d.class.id(),
            d.area
        );
        for (key, value) in [("line", d.line), ("gateway", d.gateway)] {
            if let Some(value) = value {
                let _ = writeln!(out, "{key} = \"{value}\"");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_gateways_exist_and_the_odd_devices_are_there() {
        let devices = devices();
        let ids: BTreeSet<&str> = devices.iter().map(|d| d.id.as_str()).collect();
        assert_eq!(ids.len(), devices.len());
        assert!(devices.iter().filter_map(|d| d.gateway).all(|g| ids.contains(g)));
        assert!([WRONG_CLOCK, LATIN1, GERMAN].iter().all(|id| ids.contains(id)));
        assert_eq!(
            devices.iter().map(|d| d.class).collect::<BTreeSet<_>>().len(),
            Class::ALL.len()
        );
    }

    #[test]
    fn the_configuration_names_every_device_once() {
        let text = configuration();
        assert_eq!(text.matches("[[devices]]").count(), devices().len());
        assert!(text.contains("time_zone = \"Europe/Berlin\""));
    }
}
