//! A configuration by what only the notifier asks it for, addresses and channels: made once for each version, so that no alert costs a walk.

use super::expand::target_of;
use andon_engine::address;
use andon_engine::ids::{RecipientId, RouteId};
use andon_engine::mute::Mute;
use andon_engine::rule::{Channel, Configuration, Recipient};
use andon_storage::ports::deliveries::Target;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) config: Arc<Configuration>,
    /// Who has an address: the first of them is whom a message greets.
    addresses: HashMap<String, Vec<RecipientId>>,
    /// Route and place of each channel.
    channels: HashMap<Target, (usize, usize)>,
    pub(super) windows: Vec<Mute>,
}

impl Directory {
    pub(super) fn new(config: Arc<Configuration>) -> Self {
        let mut addresses: HashMap<String, Vec<RecipientId>> = HashMap::new();
        let (named, unnamed): (Vec<_>, Vec<_>) = config.recipients.iter().partition(|r| r.name != r.email);
        // Who is known by more than the address is whom it belongs to.
        for r in named.into_iter().chain(unnamed) {
            addresses
                .entry(address::canonical(&r.email))
                .or_default()
                .push(r.id.clone());
        }
        let mut channels = HashMap::new();
        for (n, route) in config.routes.iter().enumerate() {
            for (place, channel) in route.channels.iter().enumerate() {
                channels.entry(target_of(channel)).or_insert((n, place));
            }
        }
        let windows = config.mute_windows.iter().filter_map(|w| match Mute::compile(w) {
            Ok(mute) => Some(mute),
            Err(e) => {
                // Refused when it was saved; should one get here, it must not hold anything.
                tracing::warn!(window = %w.id, error = %e, "a mute window is not valid and holds nothing");
                None
            }
        });
        Self {
            addresses,
            channels,
            windows: windows.collect(),
            config,
        }
    }

    /// Everybody whose address it is.
    pub(super) fn at_address(&self, target: &Target) -> &[RecipientId] {
        self.addresses.get(&*target.name).map_or(&[], Vec::as_slice)
    }
    pub(super) fn person_at(&self, target: &Target) -> Option<&Recipient> {
        self.config.recipient(self.at_address(target).first()?)
    }

    /// The channel of that name: of this route, if it has one, else wherever it is. Names are unique; a configuration of before that was
    /// checked may have two of one name.
    pub(super) fn channel(&self, target: &Target, route: Option<&RouteId>) -> Option<&Channel> {
        let of_route = route.and_then(|id| self.config.route(id));
        let own = of_route.and_then(|r| r.channels.iter().find(|c| target_of(c) == *target));
        own.or_else(|| {
            let (route, place) = self.channels.get(target)?;
            Some(&self.config.routes[*route].channels[*place])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::rule::Route;
    use andon_storage::ports::deliveries::ChannelKind;

    fn recipient(id: &str, name: &str, email: &str) -> Recipient {
        Recipient {
            id: RecipientId::new(id),
            name: Arc::from(name),
            email: Arc::from(email),
            language: Arc::from("en"),
            passes_throttle: false,
        }
    }

    fn webhook(name: &str, url: &str) -> Channel {
        Channel::Webhook {
            name: Arc::from(name),
            url: Arc::from(url),
            secret: None,
            at_once: true,
        }
    }

    #[test]
    fn an_address_greets_who_has_a_name() {
        let directory = Directory::new(Arc::new(Configuration {
            recipients: vec![
                recipient("anna@plant.example", "anna@PLANT.example", "anna@PLANT.example"),
                recipient("anna", "Anna Meyer", "anna@plant.example"),
                recipient("bernd", "Bernd", "Anna@plant.example"),
            ]
            .into(),
            ..Configuration::default()
        }));
        let target = Target::new(ChannelKind::Email, "anna@Plant.Example");
        assert_eq!(directory.person_at(&target).map(|r| &*r.name), Some("Anna Meyer"));
        assert_eq!(directory.at_address(&target).len(), 2);
        let other = Target::new(ChannelKind::Email, "Anna@plant.example");
        assert_eq!(directory.person_at(&other).map(|r| &*r.name), Some("Bernd"));
    }

    /// Nothing that was journaled before names were checked may send one route's alerts to another's address.
    #[test]
    fn of_two_channels_of_one_name_each_route_has_its_own() {
        let route = |id: &str, url: &str| Route {
            id: RouteId::new(id),
            name: Arc::from(id),
            recipients: vec![],
            channels: vec![webhook("mes", url)],
        };
        let directory = Directory::new(Arc::new(Configuration {
            routes: vec![route("a", "http://a"), route("b", "http://b")].into(),
            ..Configuration::default()
        }));
        let target = Target::new(ChannelKind::Webhook, "mes");
        let of = |route: Option<&str>| directory.channel(&target, route.map(RouteId::new).as_ref()).cloned();
        assert_eq!(of(Some("b")), Some(webhook("mes", "http://b")));
        assert_eq!(of(Some("a")), Some(webhook("mes", "http://a")));
        assert_eq!(of(Some("gone")), Some(webhook("mes", "http://a")));
        assert_eq!(of(None), Some(webhook("mes", "http://a")));
    }
}
