//! The error taxonomy: what can go wrong, how urgent it is, who says so and how.

use super::class::Class;
use andon_engine::level::Level;

/// Urgency as alarm practice splits it: about 5 % high, 15 % medium, 80 % low.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    High,
    Medium,
    Low,
}

/// Who writes it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Origin {
    Device(&'static [Class]),
    Application(&'static str),
}

/// One kind of fault. `#` in the text stands for a number, `@` for an item and, where an application speaks, `%` for a location.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fault {
    /// `domain.kind.detail`, the record's `type`.
    pub code: &'static str,
    pub tier: Tier,
    pub origin: Origin,
    /// The mnemonic of a PLC's or drive's fault word; empty where none is written.
    pub mnemonic: &'static str,
    pub text: &'static str,
}

impl Fault {
    /// A safety fault is FATAL whatever its tier; low is a warning.
    pub fn level(&self) -> Level {
        match self.tier {
            Tier::High => Level::Fatal,
            Tier::Medium => Level::Error,
            Tier::Low => Level::Warn,
        }
    }
}

const fn device(
    code: &'static str,
    tier: Tier,
    classes: &'static [Class],
    mnemonic: &'static str,
    text: &'static str,
) -> Fault {
    Fault {
        code,
        tier,
        origin: Origin::Device(classes),
        mnemonic,
        text,
    }
}
const fn app(code: &'static str, tier: Tier, application: &'static str, text: &'static str) -> Fault {
    Fault {
        code,
        tier,
        origin: Origin::Application(application),
        mnemonic: "",
        text,
    }
}

use Class::{Agv, Cld, Cmp, Cnc, Cnv, Dws, Lbl, Mtr, Net, Plc, Pmp, Pwr, Rob, Scn, Srm, Srt, Thm};
use Tier::{High, Low, Medium};

pub const FAULTS: &[Fault] = &[
    device(
        "EQ.mech.jam",
        Medium,
        &[Cnv, Srt],
        "JAM",
        "jam at photo-eye #, belt stopped",
    ),
    device(
        "EQ.mech.bearing",
        Low,
        &[Mtr, Pmp],
        "BRG_WRN",
        "bearing vibration # um/s above zone B",
    ),
    device(
        "EQ.mech.belt_slip",
        Low,
        &[Cnv],
        "BLT_SLP",
        "belt slip # % against set speed",
    ),
    device(
        "EQ.mech.misalign",
        Low,
        &[Srm, Rob],
        "ALIGN",
        "misalignment # mm at fork 2",
    ),
    device(
        "EQ.elec.overload",
        Medium,
        &[Mtr, Cnv, Pmp],
        "MTR_OVL",
        "motor overload, # % of rated current",
    ),
    device(
        "EQ.elec.phase_loss",
        High,
        &[Mtr, Cnc],
        "PH_LOSS",
        "phase L# lost, drive off",
    ),
    device(
        "EQ.elec.earth_fault",
        High,
        &[Cnc, Pmp],
        "EARTH_F",
        "earth fault # mA, supply tripped",
    ),
    device(
        "EQ.pneu.low_pressure",
        Low,
        &[Rob, Cmp],
        "AIR_LOW",
        "air pressure # mbar below set point",
    ),
    device(
        "EQ.hydr.leak",
        Medium,
        &[Pmp, Thm],
        "HYD_LVL",
        "hydraulic level falls # mm/h, leak suspected",
    ),
    device(
        "EQ.therm.over_temp",
        Medium,
        &[Thm, Cmp, Cnc],
        "OVR_TMP",
        "temperature # C above the limit",
    ),
    device(
        "EQ.therm.heat_dissipation",
        Low,
        &[Cnc],
        "HEAT_DIS",
        "process minus air # K, cooling weak",
    ),
    device(
        "EQ.tool.wear",
        Low,
        &[Cnc],
        "TL_WEAR",
        "tool wear # min, change at next stop",
    ),
    device(
        "EQ.tool.overstrain",
        Medium,
        &[Cnc],
        "TL_OVST",
        "overstrain # minNm, feed held",
    ),
    device(
        "EQ.drive.fault",
        Medium,
        &[Cnv, Srm, Mtr],
        "VFD_F4",
        "drive fault F0004, DC link # V",
    ),
    device(
        "SN.out_of_range",
        Low,
        &[Thm, Pmp, Cld],
        "SN_RNG",
        "sensor value # out of range",
    ),
    device("SN.stuck", Low, &[Thm, Pmp], "SN_STK", "value unchanged for # min"),
    device("SN.noise", Low, &[Mtr, Dws], "SN_NOI", "noise # LSB on channel 3"),
    device("SN.drift", Low, &[Dws, Cld], "SN_DRF", "drift # g since calibration"),
    device(
        "SN.dirty_eye",
        Low,
        &[Cnv, Scn],
        "EYE_DRT",
        "photo-eye # gain low, clean lens",
    ),
    device("SN.wire_break", Medium, &[Plc, Thm], "WIRE_BR", "wire break at input #"),
    device("SN.cal_due", Low, &[Dws], "CAL_DUE", "calibration due in # days"),
    device(
        "CT.plc.io_lost",
        Medium,
        &[Plc],
        "IO_LOST",
        "I/O node # does not answer",
    ),
    device(
        "CT.plc.watchdog",
        High,
        &[Plc],
        "WDOG",
        "watchdog expired after # ms, outputs off",
    ),
    device(
        "CT.axis.position_error",
        Medium,
        &[Srm, Rob],
        "AX_POS",
        "following error # um on axis 2",
    ),
    device(
        "CT.interlock",
        Low,
        &[Srm, Cnv, Rob],
        "INTLK",
        "waiting for interlock # s",
    ),
    device(
        "CT.recipe_mismatch",
        Low,
        &[Thm, Cnc],
        "RCP_MIS",
        "recipe # is not the order's",
    ),
    device("NW.link.down", Medium, &[Net], "", "interface ge-0/0/# link down"),
    device("NW.link.flap", Low, &[Net], "", "interface ge-0/0/7 flapped # times"),
    device(
        "NW.clock.skew",
        Low,
        &[Net],
        "",
        "clock differs # ms from the time server",
    ),
    device("NW.ups.on_battery", Medium, &[Pwr], "UPS_BAT", "on battery, # min left"),
    device("NW.volt.dip", Low, &[Pwr], "V_DIP", "dip to # % for 80 ms"),
    device(
        "SF.estop",
        High,
        &[Cnv, Rob, Srm],
        "ESTOP",
        "emergency stop, rope switch #",
    ),
    device(
        "SF.guard_open",
        High,
        &[Rob, Cnc],
        "GRD_OPN",
        "guard door # opened in automatic",
    ),
    device("SF.field_violation", High, &[Agv], "", "protective field # violated"),
    device("AG.LOCALIZATION_ERROR", High, &[Agv], "", "position lost near node N#"),
    device("AG.NODE_UNREACHABLE", Medium, &[Agv], "", "node N# cannot be reached"),
    device(
        "AG.BLOCKED_ZONE_VIOLATION",
        Medium,
        &[Agv],
        "",
        "entered blocked zone Z#",
    ),
    device("AG.INSUFFICIENT_MEMORY", Medium, &[Agv], "", "# KiB left for orders"),
    device("AG.NO_ROUTE_TO_TARGET", Low, &[Agv], "", "no route to N#, order kept"),
    device(
        "AG.OUTDATED_ORDER_UPDATE",
        Low,
        &[Agv],
        "",
        "order update # is older than the running one",
    ),
    device("AG.battery.low", Low, &[Agv], "", "battery # %, charging asked for"),
    device(
        "AG.load.lost",
        Medium,
        &[Agv],
        "",
        "load sensor free for # ms while carrying",
    ),
    device("MV.no_read", Low, &[Scn, Srt], "NO_READ", "no read, # attempts"),
    device("MV.double_scan", Low, &[Scn], "", "@ scanned twice within # ms"),
    device("MV.weight_mismatch", Low, &[Dws], "", "@ weighs # g more than expected"),
    device("MV.stuck_in_recirc", Low, &[Srt], "", "@ on its round # of the loop"),
    device(
        "DS.label.verify_fail",
        Low,
        &[Lbl],
        "",
        "label of @ not readable, grade #",
    ),
    device("QA.vision.fail", Low, &[Rob], "", "gripper camera rejected part #"),
    device("QA.reject_rate", Low, &[Thm], "", "reject rate # per 1000"),
    app("MV.item.not_found", Medium, "wms", "item @ not found at %"),
    app(
        "MV.location.occupied",
        Low,
        "wms",
        "put-away of @ refused: % is occupied",
    ),
    app("MV.location.empty", Low, "wms", "pick of @ found % empty"),
    app("MV.sequence_gap", Low, "wms", "sequence gap of # at %"),
    app("MV.wrong_zone", Low, "wms", "@ scanned in %, expected elsewhere"),
    app(
        "IN.asn.missing",
        Low,
        "dock-planner",
        "no advance notice for delivery #",
    ),
    app("IN.asn.qty_short", Low, "dock-planner", "delivery # is short of @"),
    app("IN.sku.unknown", Low, "erp-bridge", "article # unknown, kept at intake"),
    app("IN.expiry.short", Low, "wms", "lot # of @ expires too soon"),
    app("DS.cutoff.at_risk", Medium, "wes", "# parcels may miss the next truck"),
    app("DS.short_pick", Low, "wms", "short pick of @ at %, # missing"),
    app(
        "DS.carrier.reject",
        Medium,
        "label-service",
        "carrier answered # for the label of @",
    ),
    app(
        "DS.doc.missing",
        Low,
        "dock-planner",
        "customs paper of shipment # missing",
    ),
    app(
        "AG.deadlock",
        Medium,
        "fleet-manager",
        "# vehicles wait for each other at crossing K4",
    ),
    app("AP.timeout", Medium, "erp-bridge", "no answer from the ERP within # ms"),
    app("AP.deadlock", Medium, "wms", "transaction # chosen as deadlock victim"),
    app("AP.queue.backlog", Low, "wes", "# messages wait in queue pick-release"),
    app(
        "AP.schema.reject",
        Low,
        "erp-bridge",
        "message # does not fit its schema",
    ),
    app("AP.auth.fail", Low, "label-service", "token refused, attempt #"),
    app(
        "AP.disk.full",
        High,
        "wms",
        "disk of the order log full, # MB left, writing stopped",
    ),
];

/// The faults of a tier.
pub(super) fn of_tier(tier: Tier) -> impl Iterator<Item = &'static Fault> {
    FAULTS.iter().filter(move |f| f.tier == tier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_domain_is_there_and_no_class_is_without_a_fault() {
        let domains: BTreeSet<&str> = FAULTS.iter().filter_map(|f| f.code.split('.').next()).collect();
        let want = ["AG", "AP", "CT", "DS", "EQ", "IN", "MV", "NW", "QA", "SF", "SN"];
        assert_eq!(domains.into_iter().collect::<Vec<_>>(), want);
        for class in Class::ALL {
            let has = FAULTS
                .iter()
                .any(|f| matches!(f.origin, Origin::Device(c) if c.contains(&class)));
            assert!(has, "{class:?} cannot fail");
        }
    }

    #[test]
    fn safety_is_always_high() {
        assert!(
            FAULTS
                .iter()
                .filter(|f| f.code.starts_with("SF."))
                .all(|f| f.tier == Tier::High)
        );
    }
}
