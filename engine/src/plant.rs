//! The devices of a version of the configuration: each is found in one step, and what lies behind a gateway too.
//!
//! Made once for each change of the devices and shared. Of devices with one id the first counts.

use crate::parts::Parts;
use crate::rule::Device;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Plant {
    devices: Parts<Device>,
    by_id: HashMap<Arc<str>, u32>,
    /// By gateway: the devices that reach us through it directly.
    behind: HashMap<Arc<str>, Vec<u32>>,
}

impl Plant {
    pub fn new(devices: Parts<Device>) -> Self {
        let mut by_id = HashMap::with_capacity(devices.len());
        let mut behind: HashMap<Arc<str>, Vec<u32>> = HashMap::new();
        for (i, device) in (0..).zip(&devices) {
            by_id.entry(device.id.clone()).or_insert(i);
            if let Some(gateway) = &device.gateway {
                behind.entry(gateway.clone()).or_default().push(i);
            }
        }
        Self { devices, by_id, behind }
    }

    pub fn devices(&self) -> &Parts<Device> {
        &self.devices
    }
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.by_id.get(id).map(|i| &self.devices[*i as usize])
    }
    /// Whether a device says that it reaches us through this one, which may itself not be known.
    pub fn is_gateway(&self, id: &str) -> bool {
        self.behind.contains_key(id)
    }
    /// The devices directly behind a gateway.
    pub fn behind(&self, gateway: &str) -> impl Iterator<Item = &Device> {
        let devices = self.behind.get(gateway).into_iter().flatten();
        devices.map(|i| &self.devices[*i as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_found_by_its_id_and_by_its_gateway() {
        let device = |id: &str, gateway: Option<&str>, area: &str| Device {
            id: id.into(),
            gateway: gateway.map(Into::into),
            area: Some(area.into()),
            ..Device::default()
        };
        let devices = vec![
            device("G", None, "1"),
            device("a", Some("G"), "2"),
            device("b", Some("G"), "3"),
            device("G", None, "the same id again"),
        ];
        let plant = Plant::new(devices.clone().into());
        for d in &devices[..3] {
            assert_eq!(plant.device(&d.id), Some(d));
        }
        assert_eq!(plant.device("c"), None);
        assert!(plant.is_gateway("G") && !plant.is_gateway("a"));
        assert_eq!(plant.behind("G").map(|d| &*d.id).collect::<Vec<_>>(), ["a", "b"]);
    }
}
