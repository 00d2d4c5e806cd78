//! Device classes with their signals and normal ranges.
//!
//! Ranges of CNC, PMP and THM are those of public data sets (AI4I 2020, SKAB, NAB); the others are plausible engineering values.

/// A class of device, by the three letters that its devices' names begin with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    Cnc,
    Pmp,
    Mtr,
    Cnv,
    Srt,
    Srm,
    Agv,
    Rob,
    Scn,
    Lbl,
    Dws,
    Cld,
    Cmp,
    Thm,
    Pwr,
    Plc,
    Net,
}

/// One measured value: name with its unit last, and the range it keeps while all is well.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Signal {
    pub name: &'static str,
    pub low: f64,
    pub high: f64,
}

const fn signal(name: &'static str, low: f64, high: f64) -> Signal {
    Signal { name, low, high }
}

impl Class {
    pub const ALL: [Class; 17] = [
        Class::Cnc,
        Class::Pmp,
        Class::Mtr,
        Class::Cnv,
        Class::Srt,
        Class::Srm,
        Class::Agv,
        Class::Rob,
        Class::Scn,
        Class::Lbl,
        Class::Dws,
        Class::Cld,
        Class::Cmp,
        Class::Thm,
        Class::Pwr,
        Class::Plc,
        Class::Net,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Class::Cnc => "CNC",
            Class::Pmp => "PMP",
            Class::Mtr => "MTR",
            Class::Cnv => "CNV",
            Class::Srt => "SRT",
            Class::Srm => "SRM",
            Class::Agv => "AGV",
            Class::Rob => "ROB",
            Class::Scn => "SCN",
            Class::Lbl => "LBL",
            Class::Dws => "DWS",
            Class::Cld => "CLD",
            Class::Cmp => "CMP",
            Class::Thm => "THM",
            Class::Pwr => "PWR",
            Class::Plc => "PLC",
            Class::Net => "NET",
        }
    }

    pub fn signals(self) -> &'static [Signal] {
        const CNC: &[Signal] = &[
            signal("air_k", 295.3, 304.5),
            signal("process_k", 305.7, 313.8),
            signal("speed_rpm", 1_168.0, 2_886.0),
            signal("torque_nm", 3.8, 76.6),
            signal("tool_wear_min", 0.0, 198.0),
        ];
        const PMP: &[Signal] = &[
            signal("acceleration_1_g", 0.19, 0.23),
            signal("acceleration_2_g", 0.25, 0.28),
            signal("current_a", 0.9, 3.2),
            signal("pressure_bar", -0.6, 0.7),
            signal("temperature_c", 88.0, 92.0),
            signal("flow_l_min", 118.0, 128.0),
            signal("voltage_v", 201.0, 253.0),
        ];
        const MTR: &[Signal] = &[
            signal("vibration_mm_s", 0.5, 2.5),
            signal("bearing_c", 40.0, 70.0),
            signal("current_pct", 60.0, 90.0),
            signal("speed_rpm", 1_440.0, 1_480.0),
        ];
        const CNV: &[Signal] = &[signal("belt_m_s", 0.5, 2.0), signal("motor_a", 1.8, 4.2)];
        const SRT: &[Signal] = &[
            signal("items_per_h", 4_000.0, 10_000.0),
            signal("recirculated_pct", 0.0, 2.0),
            signal("no_read_pct", 0.0, 1.0),
        ];
        const SRM: &[Signal] = &[
            signal("x_m", 0.0, 84.0),
            signal("y_m", 0.0, 18.0),
            signal("lift_a", 4.0, 21.0),
            signal("cycle_s", 60.0, 90.0),
        ];
        const AGV: &[Signal] = &[
            signal("battery_pct", 20.0, 100.0),
            signal("speed_m_s", 0.0, 1.6),
            signal("load_kg", 0.0, 800.0),
        ];
        const ROB: &[Signal] = &[
            signal("axis_torque_pct", 12.0, 80.0),
            signal("cycle_s", 4.0, 7.5),
            signal("vacuum_kpa", -68.0, -60.0),
        ];
        const SCN: &[Signal] = &[signal("read_rate_pct", 99.0, 100.0)];
        const LBL: &[Signal] = &[signal("labels_left", 120.0, 2_000.0), signal("head_c", 32.0, 48.0)];
        const DWS: &[Signal] = &[
            signal("weight_g", 180.0, 24_000.0),
            signal("length_mm", 120.0, 800.0),
            signal("width_mm", 90.0, 600.0),
            signal("height_mm", 20.0, 500.0),
        ];
        const CLD: &[Signal] = &[
            signal("air_c", 2.0, 8.0),
            signal("door_open", 0.0, 0.0),
            signal("defrost", 0.0, 0.0),
        ];
        const CMP: &[Signal] = &[
            signal("pressure_bar", 6.5, 7.5),
            signal("oil_c", 70.0, 95.0),
            signal("load_pct", 45.0, 85.0),
        ];
        const THM: &[Signal] = &[signal("zone_c", 84.0, 103.0)];
        const PWR: &[Signal] = &[
            signal("voltage_v", 220.0, 240.0),
            signal("current_a", 40.0, 180.0),
            signal("frequency_hz", 49.95, 50.05),
        ];
        const PLC: &[Signal] = &[signal("scan_ms", 6.0, 18.0)];
        const NET: &[Signal] = &[signal("rx_mbit_s", 1.0, 240.0), signal("cpu_pct", 3.0, 35.0)];
        match self {
            Class::Cnc => CNC,
            Class::Pmp => PMP,
            Class::Mtr => MTR,
            Class::Cnv => CNV,
            Class::Srt => SRT,
            Class::Srm => SRM,
            Class::Agv => AGV,
            Class::Rob => ROB,
            Class::Scn => SCN,
            Class::Lbl => LBL,
            Class::Dws => DWS,
            Class::Cld => CLD,
            Class::Cmp => CMP,
            Class::Thm => THM,
            Class::Pwr => PWR,
            Class::Plc => PLC,
            Class::Net => NET,
        }
    }

    /// How often a device of this class reports its readings, in seconds of plant time.
    pub fn period_s(self) -> i64 {
        match self {
            Class::Agv | Class::Mtr | Class::Cnc | Class::Pmp => 5,
            Class::Srm | Class::Rob | Class::Cnv | Class::Plc => 10,
            Class::Srt | Class::Scn | Class::Dws | Class::Lbl => 15,
            Class::Thm | Class::Pwr | Class::Net | Class::Cmp => 20,
            Class::Cld => 30,
        }
    }
}
