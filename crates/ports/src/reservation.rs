//! Local ports taken for a container that is about to start.
//!
//! A start that cannot have its ports must fail as Docker's own start fails, and before anything
//! runs.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::address::{Address, Protocol};
use crate::docker::Inspected;
use crate::listen::{TAKEN, reason};
use crate::placement::NotPlaced;
use crate::publication::{Claim, Container, Here, PortBinding, PortMap, Publication, publications};
use crate::table::{Listening, Slot};
use crate::{Ports, Reserved};

/// Behind dockerd's words, where a number that was free on the machine is taken here.
const CHOSEN: &str = "The engine chose this number, which is free on the machine and taken on this \
    computer, so the container was killed. Start it again: the engine \
                      chooses another number";

/// A local port that a container asks for is taken. Displays as dockerd words it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "driver failed programming external connectivity on endpoint {name} ({id}): Bind for \
    {local} failed: {why}"
)]
pub struct Conflict {
    /// Name of the container.
    pub name: String,
    /// Its full id.
    pub id: String,
    /// The address that is not to be had.
    pub local: SocketAddr,
    /// `port is already allocated`, or the operating system's own words.
    pub why: String,
}

/// Holds local ports for one container. They are given back when it is dropped, unless the
/// container runs by then.
#[must_use = "dropping it gives the ports back"]
pub struct Reservation {
    ports: Ports,
    reference: String,
    taken: Vec<Slot>,
    asked: Option<Asked>,
}

/// What a container asks for, which is fixed when it is created.
#[derive(Debug, Clone)]
pub struct Asked {
    id: String,
    name: String,
    /// Those with a number.
    publications: Vec<Publication>,
    /// As the engine was told.
    exposes: PortMap,
    /// The engine chooses numbers when the container starts.
    chooses: bool,
    removes_itself: bool,
}

impl Asked {
    fn of(inspected: &Inspected, here: Here) -> Self {
        let published = inspected.host_config.publishes();
        let bindings =
            inspected.host_config.port_bindings.clone().filter(|_| published).unwrap_or_default();
        let is_open = |binding: &PortBinding| !matches!(binding.host_port.parse::<u16>(), Ok(1..));
        Self {
            id: inspected.id.clone(),
            name: inspected.name.trim_start_matches('/').to_owned(),
            chooses: (published && inspected.host_config.publish_all_ports)
                || bindings.values().flatten().flatten().any(is_open),
            publications: publications(&bindings, here, None),
            exposes: bindings,
            removes_itself: inspected.host_config.auto_remove,
        }
    }
}

impl Ports {
    /// Whether a start matters here although its container publishes nothing: a forward made by
    /// hand may wait for it.
    pub fn minds_every_start(&self) -> bool {
        self.state().table.has_any_by_hand()
    }

    /// Takes the local ports that a container asks for by number, before it is started. `reference`
    /// is its id or name as in the request. Connections that come early wait.
    ///
    /// # Errors
    /// When one of them is taken. An engine that does not know the container, or does not answer,
    /// is no error here: the start itself is going to tell.
    pub async fn reserve(&self, reference: &str) -> Result<Reservation, Conflict> {
        let mut reservation = Reservation {
            ports: self.clone(),
            reference: reference.to_owned(),
            taken: Vec::new(),
            asked: None,
        };
        match self.engine().inspect(reference).await {
            Ok(Some(inspected)) => reservation.take_all(inspected).await?,
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%reference, %error, "the ports of a container that is to \
                be started are not known")
            }
        }
        Ok(reservation)
    }
}

impl Ports {
    /// An address that a container owns and another has here. What is only reserved is not had yet:
    /// of two that ask for one number the engine refuses one.
    fn taken_by_others(&self, id: &str) -> Option<(String, SocketAddr)> {
        let state = self.state();
        let reserved = |address: Address| {
            let mut reserved = state.reserved.iter().flat_map(|(slot, Reserved(placed))| {
                placed.addresses().into_iter().map(|at| Address { at, ..slot.wanted })
            });
            reserved.any(|other| other.overlaps(address))
        };
        let mut taken = state.table.taken_by_others(id);
        let (name, address) = taken.find(|(_, address)| !reserved(*address))?;
        Some((name.to_owned(), address.at))
    }
}

impl Reservation {
    /// The container was started. Ports with a number answer when this returns, without a question
    /// to the engine; numbers that the engine chose for a container that removes itself are asked
    /// for behind it ([`Ports::opened`] waits for them), for it may be ending. Any other's are open
    /// when this returns, and so is a forward made by hand that waits for the container.
    ///
    /// # Errors
    /// Those of [`Reservation::open`].
    pub async fn started(mut self) -> Result<(), Conflict> {
        let Some(asked) = &self.asked else { return self.open().await };
        let Asked { id, name, publications, chooses, removes_itself, .. } = asked;
        if (*chooses && !removes_itself) || self.ports.state().table.has_by_hand(id, name) {
            return self.open().await;
        }
        if publications.is_empty() && !chooses {
            return Ok(());
        }
        let (id, name) = (id.clone(), name.clone());
        // Where the container has ended meanwhile, the question behind it closes them again.
        self.ports.observe_started(Container {
            id: id.clone(),
            name: name.clone(),
            publications: publications.clone(),
            address: None,
        });
        self.reference.clone_from(&id);
        self.ports.clone().open_behind(self, id, name);
        Ok(())
    }

    /// The container was started: opens its ports, those whose number the engine chose included.
    /// Returns when they answer.
    ///
    /// # Errors
    /// When another has a number here that the engine has chosen. The container is killed: as with
    /// an engine here, nothing runs whose ports are not to be had.
    pub async fn open(self) -> Result<(), Conflict> {
        let id = match self.ports.refresh(&self.reference).await {
            Ok(id) => id,
            Err(error) => {
                // The events tell it too, as soon as the engine can be asked again.
                tracing::warn!(container = %self.reference, %error, "the ports of a started \
                    container are not known yet");
                return Ok(());
            }
        };
        // Who had it may have ended or changed its number a moment ago, as when several are
        // restarted at once.
        let holders = self.ports.state().table.holders_against(&id);
        for holder in holders {
            self.ports.settle(&holder).await;
        }
        let Some((name, local)) = self.ports.taken_by_others(&id) else { return Ok(()) };
        if let Err(error) = self.ports.engine().kill(&id).await {
            tracing::warn!(container = %name, %error, "a container without its ports cannot be \
                killed");
        }
        if let Err(error) = self.ports.refresh(&id).await {
            tracing::debug!(container = %name, %error, "the end of a container without its ports \
                is not known yet");
        }
        let why = format!("{TAKEN}. {CHOSEN}");
        Err(Conflict { name, id, local, why })
    }

    /// The engine refused the start: gives the ports back.
    pub fn refused(mut self) -> Option<Asked> {
        self.asked.take()
    }

    async fn take_all(&mut self, inspected: Inspected) -> Result<(), Conflict> {
        let asked = Asked::of(&inspected, self.ports.here());
        let (id, name, asked_for) =
            (asked.id.clone(), asked.name.clone(), asked.publications.clone());
        let exposes = asked.exposes.clone();
        self.asked = Some(asked);
        self.keep_to_this_computer(&name, &id, &exposes).await?;
        let carries_datagrams = self.ports.0.connector.without_datagrams().is_none();
        for publication in asked_for {
            let Address { protocol, at } = publication.wanted;
            // What cannot be carried is told when the container runs, and is no reason not to run
            // it.
            let carried = protocol == Protocol::Tcp || carries_datagrams;
            if carried && self.ports.state().table.admits(&name, publication.wanted) {
                self.take(&name, &id, publication).await.map_err(|refused| {
                    let local = if refused.at.port() == at.port() { refused.at } else { at };
                    Conflict {
                        name: name.clone(),
                        id: id.clone(),
                        local,
                        why: reason(&refused.error, local),
                    }
                })?;
            }
        }
        Ok(())
    }

    /// An address of this computer that others can reach is a conflict with `bind`, unless it is an
    /// address of the machine, too, as that of a bridge is.
    async fn keep_to_this_computer(
        &self,
        name: &str,
        id: &str,
        bindings: &PortMap,
    ) -> Result<(), Conflict> {
        let mut exposed = self.ports.here().exposed(bindings);
        if exposed.is_empty() {
            return Ok(());
        }
        match self.ports.engine().gateways().await {
            Ok(gateways) => exposed.retain(|address| !gateways.contains(address)),
            Err(error) => tracing::debug!(%error, "the machine's own addresses are not known"),
        }
        let Some(address) = exposed.first() else { return Ok(()) };
        let port = bindings
            .values()
            .flatten()
            .flatten()
            .find(|binding| binding.host_ip == address.to_string());
        let port = port.and_then(|binding| binding.host_port.parse().ok()).unwrap_or(0);
        let why = format!(
            "it could be reached from other computers: set `ports.bind` to {address} or to 0.0.0.0 \
                if that is what you want, or publish on 127.0.0.1"
        );
        Err(Conflict {
            name: name.to_owned(),
            id: id.to_owned(),
            local: SocketAddr::new(*address, port),
            why,
        })
    }

    async fn take(
        &mut self,
        name: &str,
        id: &str,
        publication: Publication,
    ) -> Result<(), NotPlaced> {
        let Publication { wanted, claim, twin, remote, inside } = publication;
        let slot = Slot { wanted, container: id.to_owned(), by_hand: false };
        let listening =
            Listening { slot: slot.clone(), claim, twin, name: name.to_owned(), remote, inside };
        let own: Vec<Address> = (listening.places(wanted.at.port()))
            .filter(|(_, claim)| *claim == Claim::Own)
            .map(|(at, _)| Address { at, ..wanted })
            .collect();
        let holders: BTreeSet<String> = {
            let state = self.ports.state();
            // A restart: the port stays open.
            if state.table.is_open(&slot) {
                return Ok(());
            }
            own.iter().filter_map(|own| state.table.holder(*own)).map(str::to_owned).collect()
        };
        for holder in holders {
            // It may have died a moment ago, with the news still on its way.
            self.ports.settle(&holder).await;
        }
        let mut state = self.ports.state();
        if state.table.is_open(&slot) || state.reserved.contains_key(&slot) {
            return Ok(());
        }
        state.sleepers.give_up(wanted.at.port());
        for own in own {
            let actions = state.table.make_way(&slot, own);
            self.ports.carry_out_now(&mut state, actions);
        }
        let mut placed = match self.ports.place(&state.table, &listening) {
            Ok(placed) => placed,
            // This computer has not the family, and the other one's address belongs to another:
            // `dockbridge ports` tells.
            Err(refused) if refused.is_for_want_of_a_family(&listening) => return Ok(()),
            Err(refused) => return Err(refused),
        };
        // A lent address is not kept from a container that owns it and starts at the same time.
        placed.sockets.retain(|(at, _)| !listening.is_lent(*at));
        if !placed.sockets.is_empty() {
            state.reserved.insert(slot.clone(), Reserved(placed));
            self.taken.push(slot);
        }
        Ok(())
    }
}

impl Asked {
    /// What a person can do about an engine's refusal, if it is about an address of the machine.
    pub fn advice(&self, refusal: &str) -> Option<String> {
        let is_taken = refusal.contains("address already in use");
        if !is_taken && !refusal.contains("cannot assign requested address") {
            return None;
        }
        let bindings = self.exposes.iter().flat_map(|(inside, bindings)| {
            bindings.iter().flatten().map(move |binding| (inside, binding))
        });
        let mut named = bindings.filter(|(_, binding)| names(refusal, &binding.host_port));
        let (inside, PortBinding { host_ip, host_port }) = named.next()?;
        let (inside, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let suffix = if protocol == "udp" { "/udp" } else { "" };
        let host = match host_ip.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => String::new(),
            Ok(address @ IpAddr::V6(_)) => format!("[{address}]:"),
            Ok(address) => format!("{address}:"),
            Err(_) => String::new(),
        };
        let by_hand =
            format!("`dockbridge ports add {host}{host_port}:{}:{inside}{suffix}`", self.name);
        Some(match is_taken {
            true => format!(
                "The machine itself uses port {host_port}, for its SSH server, its name service or \
                    a container in its own network; this computer does not. Publish \
                 another port, or start the container without this one and forward it: {by_hand}"
            ),
            false => format!(
                "The machine has no address {host_ip}. Publish without an address, or start the \
                    container without this port and forward it: {by_hand}"
            ),
        })
    }
}

/// Whether an engine's words name this port of the host: `0.0.0.0:22: bind: …` or
/// `0.0.0.0:22:172.17.0.2:80/tcp: …`.
fn names(refusal: &str, port: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
    let colon = format!(":{port}");
    !port.is_empty()
        && refusal.match_indices(&colon).any(|(at, _)| ends(&refusal[at + colon.len()..]))
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.ports.state();
        let mut given_back = false;
        for slot in &self.taken {
            given_back |= state.reserved.remove(slot).is_some();
        }
        if given_back {
            self.ports.try_again(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_the_machine_itself_is_told_from_others_by_the_engines_words() {
        let ports: PortMap = serde_json::from_str(
            r#"{"53/udp":[{"HostIp":"127.0.0.1","HostPort":"53"}],"80/tcp":[{"HostIp":"","HostPort":"22"}],"81/tcp":[{"HostIp":"192.0.2.9","HostPort":"8080"}]}"#,
        )
        .unwrap();
        let asked = Asked {
            id: String::new(),
            name: "web".into(),
            publications: Vec::new(),
            exposes: ports,
            chooses: false,
            removes_itself: false,
        };
        let advice = |words: &str| asked.advice(words);
        for words in [
            "Error starting userland proxy: listen tcp4 0.0.0.0:22: bind: address already in use",
            "failed to bind host port for 0.0.0.0:22:172.17.0.2:80/tcp: address already in use",
            "failed to bind host port 0.0.0.0:22/tcp: address already in use",
        ] {
            let advice = advice(words).unwrap();
            assert!(
                advice.contains("machine itself uses port 22")
                    && advice.ends_with("`dockbridge ports add 22:web:80`"),
                "{advice}"
            );
        }
        let datagrams = advice("listen udp4 127.0.0.1:53: bind: address already in use").unwrap();
        assert!(
            datagrams.ends_with("`dockbridge ports add 127.0.0.1:53:web:53/udp`"),
            "{datagrams}"
        );
        let address =
            advice("listen tcp4 192.0.2.9:8080: bind: cannot assign requested address").unwrap();
        assert!(
            address.starts_with("The machine has no address 192.0.2.9")
                && address.ends_with("add 192.0.2.9:8080:web:81`"),
            "{address}"
        );
        for words in [
            "Bind for 0.0.0.0:22 failed: port is already allocated",
            "listen tcp4 0.0.0.0:220: bind: address already in use",
        ] {
            assert_eq!(advice(words), None, "{words}");
        }
    }
}
