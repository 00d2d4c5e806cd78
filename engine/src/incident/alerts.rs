//! The alerts that one entry raises of one incident: one for each device, so that a mute window of one device holds no other's.

use crate::effect::Alert;

/// Devices with an alert of their own. Those beyond share one, which names only what they have in common.
const DEVICES_MAX: usize = 16;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alerts {
    of_devices: Vec<Alert>,
    of_the_rest: Option<Alert>,
}

impl Alerts {
    /// Of several of one device the weightiest stays, of equals the first; one of what goes on before one of history.
    pub(crate) fn raise(&mut self, alert: Alert) {
        let device = &alert.context.device;
        if let Some(known) = self.of_devices.iter_mut().find(|a| a.context.device == *device) {
            if weight(&alert) > weight(known) {
                *known = alert;
            }
        } else if self.of_devices.len() < DEVICES_MAX {
            self.of_devices.push(alert);
        } else {
            self.add_to_the_rest(alert);
        }
    }

    fn add_to_the_rest(&mut self, mut alert: Alert) {
        let Some(rest) = &mut self.of_the_rest else {
            self.of_the_rest = Some(alert);
            return;
        };
        if weight(&alert) > weight(rest) {
            std::mem::swap(rest, &mut alert);
        }
        rest.context.keep_common(&alert.context);
        // What is found in history and what is not are one message now: it goes out as what is not.
        rest.historical &= alert.historical;
    }
}

fn weight(alert: &Alert) -> (bool, u8) {
    (!alert.historical, alert.reason.weight())
}

impl IntoIterator for Alerts {
    type Item = Alert;
    type IntoIter = std::iter::Chain<std::vec::IntoIter<Alert>, std::option::IntoIter<Alert>>;

    fn into_iter(self) -> Self::IntoIter {
        self.of_devices.into_iter().chain(self.of_the_rest)
    }
}
