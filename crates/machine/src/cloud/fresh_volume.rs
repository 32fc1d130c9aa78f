//! Which new volume may be deleted again because no server came to use it. This is the only place
//! that deletes a volume which the user has not named, so it decides by three independent facts:
//! this attempt created the volume and no server was requested with it ([`FreshVolume`]), the
//! labels are this identity's, and the cloud has never attached it ([`fate`]). Pure: the facts come
//! in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hetzner::Action;

use crate::identity::Identity;
use crate::observed::{Observed, Volume};

/// The volume that the current attempt has created. One attempt runs at a time.
#[derive(Debug, Default)]
pub(super) struct FreshVolume(Mutex<Option<Fresh>>);

#[derive(Debug)]
struct Fresh {
    volume: Volume,
    /// Requests for a server with this volume that the cloud has not surely refused: such a server
    /// may exist, even if the reply was lost or the wake was cut off.
    requests: u32,
}

impl FreshVolume {
    /// A new attempt begins: what an earlier one created is no longer fresh.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    /// This attempt has created a volume.
    pub(super) fn created(&self, volume: Volume) {
        *self.lock() = Some(Fresh { volume, requests: 0 });
    }

    /// What exists, as the cloud lists it. Any server of this identity may use the volume.
    pub(super) fn observe(&self, observed: &Observed) {
        let is_attached = observed.volumes.iter().any(|volume| volume.server.is_some());
        if is_attached || !observed.servers.is_empty() {
            self.forget();
        }
    }

    /// A server with this volume is about to be requested.
    pub(super) fn requested(&self, volume: u64) {
        self.change(volume, |requests| requests.saturating_add(1));
    }

    /// The cloud has surely refused the last request for a server with this volume.
    pub(super) fn refused(&self, volume: u64) {
        self.change(volume, |requests| requests.saturating_sub(1));
    }

    /// The volume, for the next server that is requested.
    pub(super) fn get(&self) -> Option<Volume> {
        self.lock().as_ref().map(|fresh| fresh.volume.clone())
    }

    /// The volume, if no server can exist that uses it. It is forgotten.
    pub(super) fn take_unused(&self) -> Option<Volume> {
        self.lock().take_if(|fresh| fresh.requests == 0).map(|fresh| fresh.volume)
    }

    fn change(&self, volume: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(fresh) = self.lock().as_mut().filter(|fresh| fresh.volume.id == volume) {
            fresh.requests = change(fresh.requests);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fresh>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of an unused fresh volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is deleted.
    Delete,
    /// It is kept, for this reason.
    Keep(&'static str),
}

/// Decides by what the cloud says about the volume now: the volume itself and all its actions.
pub(super) fn fate(identity: &Identity, volume: &hetzner::Volume, actions: &[Action]) -> Fate {
    if !identity.owns(&volume.labels) {
        return Fate::Keep("its labels are not this profile's");
    }
    if volume.server.is_some() {
        return Fate::Keep("it is attached to a server");
    }
    // Another client may have attached it, written to it and detached it again.
    if actions.iter().any(|action| action.command == "attach_volume") {
        return Fate::Keep("it has been attached to a server");
    }
    Fate::Delete
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::identity::{Owner, Profile};

    fn identity(profile: &str) -> Identity {
        Identity { profile: Profile::parse(profile).unwrap(), owner: Owner::random() }
    }

    fn volume(labels: &hetzner::Labels, server: Option<u64>) -> hetzner::Volume {
        let location = json!({"id": 1, "name": "fsn1"});
        serde_json::from_value(json!({
            "id": 5, "name": "v", "created": "2026-01-30T23:55:00Z", "server": server,
            "location": location, "size": 10, "linux_device": "/dev/x", "labels": labels,
            "status": "available",
        }))
        .unwrap()
    }

    fn actions(commands: &[&str]) -> Vec<Action> {
        let action = |(id, command): (usize, &&str)| {
            serde_json::from_value(json!({"id": id, "command": command, "status": "success"}))
        };
        commands.iter().enumerate().map(|one| action(one).unwrap()).collect()
    }

    #[test]
    fn fresh_volume_is_deleted_only_if_owned_and_never_attached() {
        let own = identity("default");
        let labels = own.labels("data");
        let other_owner = identity("default").labels("data");
        let other_profile =
            Identity { profile: Profile::parse("b").unwrap(), ..own.clone() }.labels("data");
        let created = actions(&["create_volume"]);
        let used = actions(&["create_volume", "attach_volume", "detach_volume"]);
        assert_eq!(fate(&own, &volume(&labels, None), &created), Fate::Delete);
        for (labels, server, actions, reason) in [
            (&other_owner, None, &created, "its labels are not this profile's"),
            (&other_profile, None, &created, "its labels are not this profile's"),
            (&hetzner::Labels::new(), None, &created, "its labels are not this profile's"),
            (&labels, Some(7), &created, "it is attached to a server"),
            (&labels, None, &used, "it has been attached to a server"),
        ] {
            assert_eq!(fate(&own, &volume(labels, server), actions), Fate::Keep(reason));
        }
    }

    #[derive(Debug, Clone, PartialEq)]
    enum Event {
        NewAttempt,
        Created(u64),
        Observed { servers: bool, attached: bool },
        Requested(u64),
        Refused(u64),
        Taken,
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            1 => Just(Event::NewAttempt),
            3 => (1_u64..3).prop_map(Event::Created),
            2 => (any::<bool>(), any::<bool>())
                .prop_map(|(servers, attached)| Event::Observed { servers, attached }),
            3 => (1_u64..3).prop_map(Event::Requested),
            2 => (1_u64..3).prop_map(Event::Refused),
            2 => Just(Event::Taken),
        ]
    }

    fn own(id: u64, server: Option<u64>) -> Volume {
        Volume { id, name: "v".into(), location: "fsn1".into(), size: 10, server }
    }

    fn observed(servers: bool, attached: bool) -> Observed {
        let server = || {
            crate::convert::server(
                serde_json::from_value(json!({
                    "id": 7, "name": "s", "status": "running", "created": "2026-01-30T23:55:00Z",
                    "public_net": {}, "location": {"id": 1, "name": "fsn1"},
                    "server_type": {"id": 1, "name": "cx23", "cores": 2, "memory": 4.0, "disk": 40,
                        "cpu_type": "shared", "architecture": "x86"},
                }))
                .unwrap(),
            )
        };
        Observed {
            servers: servers.then(server).into_iter().collect(),
            volumes: vec![own(1, attached.then_some(7))],
            ..Observed::default()
        }
    }

    /// Whether the history up to now allows to delete the volume that was created last.
    fn may_delete(history: &[Event]) -> Option<u64> {
        let at = history.iter().rposition(|event| matches!(event, Event::Created(_)))?;
        let Event::Created(id) = history[at] else { return None };
        let mut open = 0_u32;
        for event in &history[at + 1..] {
            match event {
                Event::NewAttempt => return None,
                Event::Taken if open == 0 => return None,
                Event::Observed { servers, attached } if *servers || *attached => return None,
                Event::Requested(volume) if *volume == id => open += 1,
                Event::Refused(volume) if *volume == id => open = open.saturating_sub(1),
                _ => {}
            }
        }
        (open == 0).then_some(id)
    }

    proptest! {
        /// A volume is given up for deletion only within the attempt that created it, before any
        /// server was seen, and with every request for a server surely refused.
        #[test]
        fn only_an_unused_volume_of_this_attempt_is_taken(
            events in prop::collection::vec(any_event(), 0..30),
        ) {
            let fresh = FreshVolume::default();
            for (at, event) in events.iter().enumerate() {
                match event {
                    Event::NewAttempt => fresh.forget(),
                    Event::Created(id) => fresh.created(own(*id, None)),
                    Event::Observed { servers, attached } => {
                        fresh.observe(&observed(*servers, *attached));
                    }
                    Event::Requested(id) => fresh.requested(*id),
                    Event::Refused(id) => fresh.refused(*id),
                    Event::Taken => {
                        let taken = fresh.take_unused().map(|volume| volume.id);
                        prop_assert_eq!(taken, may_delete(&events[..at]));
                    }
                }
            }
        }
    }
}
