//! The work on servers and on their images.

use super::chain::Work;
use super::effect::Effect;
use crate::catalogue::Catalogue;
use crate::hypervisor::{ImageSource, NewServer};
use crate::state::action::ActionError;
use crate::state::firewall::Target;
use crate::state::{FreeAddress, Id, Project, Server, ServerStatus};

pub(super) fn begin(
    work: &Work,
    project: &mut Project,
    catalogue: &Catalogue,
) -> Result<Vec<Effect>, ActionError> {
    let id = subject(work);
    let server =
        project.servers.get_mut(&id).ok_or_else(|| ActionError::failed("server is gone"))?;
    let was_off = matches!(server.status, ServerStatus::Off);
    Ok(match work {
        Work::CreateServer { .. } => made(project, catalogue, id),
        Work::Start(_) if server.status == ServerStatus::Running => Vec::new(),
        Work::Start(_) => {
            server.status = ServerStatus::Starting;
            start(project, catalogue, id)
        }
        Work::SetRescue { rescue, .. } => vec![Effect::SetRescue(id, rescue.clone())],
        Work::Stop(_) if !server.made => Vec::new(),
        Work::Stop(_) => {
            server.status = ServerStatus::Stopping;
            vec![Effect::PowerOff(id)]
        }
        Work::Shutdown(_) if was_off => Vec::new(),
        Work::Shutdown(_) => vec![Effect::Shutdown(id)],
        Work::Reboot(_) | Work::Reset(_) if was_off => {
            server.status = ServerStatus::Starting;
            start(project, catalogue, id)
        }
        Work::Reboot(_) => vec![
            Effect::Shutdown(id),
            Effect::AwaitOff(id),
            Effect::PowerOff(id),
            Effect::Start(id),
        ],
        Work::Reset(_) => vec![Effect::PowerOff(id), Effect::Start(id)],
        Work::Rebuild { image, .. } => {
            server.status = ServerStatus::Rebuilding;
            server.image = *image;
            server.made = false;
            let volumes = project.volumes_of(id);
            let mut effects = vec![Effect::PowerOff(id)];
            effects.extend(volumes.iter().map(|&volume| Effect::Detach { volume, server: id }));
            effects.push(Effect::Delete(id));
            effects.extend(made(project, catalogue, id));
            effects.extend(volumes.iter().map(|&volume| Effect::Attach { volume, server: id }));
            effects.push(Effect::Start(id));
            effects
        }
        Work::ChangeType { .. } => {
            server.status = ServerStatus::Migrating;
            Vec::new()
        }
        Work::CreateImage { image, .. } => vec![Effect::Snapshot { server: id, image: *image }],
        Work::DeleteServer(_) => {
            server.status = ServerStatus::Deleting;
            let volumes = project.volumes_of(id).into_iter();
            volumes
                .map(|volume| Effect::Detach { volume, server: id })
                .chain([Effect::Delete(id)])
                .collect()
        }
        _ => Vec::new(),
    })
}

pub(super) fn finish(
    work: &Work,
    project: &mut Project,
    catalogue: &Catalogue,
    result: Result<Option<u64>, &ActionError>,
) {
    let id = subject(work);
    let done = result.is_ok();
    match *work {
        Work::DeleteServer(_) if done => return forget(project, id),
        Work::CreateImage { image, .. } => match (result, project.snapshots.get_mut(&image)) {
            (Ok(size), Some(snapshot)) => {
                snapshot.size = Some(size.unwrap_or_default());
                snapshot.available = true;
            }
            _ => drop(project.snapshots.remove(&image)),
        },
        _ => {}
    }
    let Some(server) = project.servers.get_mut(&id) else { return };
    if let (Work::SetRescue { rescue, .. }, true) = (work, done) {
        server.rescue.clone_from(rescue);
    }
    let after = server.status;
    // The rescue system boots only once.
    let boots = match work {
        Work::Start(_) => after == ServerStatus::Starting,
        Work::Reboot(_) | Work::Reset(_) | Work::Rebuild { .. } => true,
        _ => false,
    };
    if boots && done {
        server.rescue = None;
    }
    match *work {
        Work::CreateServer { start_follows, .. } => {
            server.made = done;
            let goes_on = done && start_follows && after == ServerStatus::Initializing;
            server.status = if goes_on { ServerStatus::Initializing } else { ServerStatus::Off };
        }
        // A start that failed before its turn, or was skipped.
        Work::Start(_) if after == ServerStatus::Initializing => server.status = ServerStatus::Off,
        Work::Start(_) if after == ServerStatus::Starting => {
            server.made |= done;
            server.status = if done { ServerStatus::Running } else { ServerStatus::Off };
        }
        Work::Stop(_) | Work::DeleteServer(_) => server.status = ServerStatus::Off,
        Work::Reboot(_) | Work::Reset(_) => {
            server.made |= done;
            server.status = if done { ServerStatus::Running } else { ServerStatus::Off };
        }
        Work::Rebuild { .. } => {
            server.made = done;
            server.status = if done { ServerStatus::Running } else { ServerStatus::Off };
        }
        Work::ChangeType { server_type, disk, .. } => {
            server.status = ServerStatus::Off;
            if done && catalogue.server_type(server_type).is_some() {
                server.server_type = server_type;
                server.disk = disk.unwrap_or(server.disk);
            }
        }
        _ => {}
    }
}

/// Removes the server: deletes its addresses if they are set to, detaches its volumes, and removes
/// it from firewalls.
fn forget(project: &mut Project, id: Id) {
    if let Some(server) = project.servers.remove(&id) {
        let ipv4 = server
            .ipv4
            .as_ref()
            .map(|address| (address.id, "ipv4", address.ip.to_string(), address.facts.clone()));
        let ipv6 = server.ipv6.as_ref().map(|address| {
            (address.id, "ipv6", format!("{}/64", address.network), address.facts.clone())
        });
        for (id, kind, ip, facts) in
            ipv4.into_iter().chain(ipv6).filter(|(.., facts)| !facts.auto_delete)
        {
            let free = FreeAddress {
                kind: kind.to_owned(),
                ip,
                location: server.location,
                created: server.created,
                facts,
            };
            project.addresses.insert(id, free);
        }
        project.past_servers.push(server);
    }
    for volume in project.volumes.values_mut().filter(|v| v.server == Some(id)) {
        volume.server = None;
    }
    for firewall in project.firewalls.values_mut() {
        firewall.targets.remove(&Target::Server(id));
    }
}

/// Boots it; a disk whose creation failed is created first.
fn start(project: &Project, catalogue: &Catalogue, id: Id) -> Vec<Effect> {
    let mut effects = if project.servers.get(&id).is_some_and(|s| s.made) {
        Vec::new()
    } else {
        made(project, catalogue, id)
    };
    effects.push(Effect::Start(id));
    effects
}

/// A fresh disk after the server's firewalls, so that it is never seen without them.
fn made(project: &Project, catalogue: &Catalogue, id: Id) -> Vec<Effect> {
    let Some(server) = project.servers.get(&id) else { return Vec::new() };
    let firewalls = project.wanted_firewalls(id);
    vec![
        Effect::Create(Box::new(new_server(server, catalogue))),
        Effect::SetFirewall(id, project.inbound_rules(&firewalls)),
    ]
}

fn new_server(server: &Server, catalogue: &Catalogue) -> NewServer {
    let location = catalogue.location(server.location);
    NewServer {
        id: server.id,
        name: server.name.clone(),
        image: if catalogue.image(server.image).is_some() {
            ImageSource::Base
        } else {
            ImageSource::Snapshot(server.image)
        },
        user_data: server.user_data.clone(),
        ssh_keys: server.ssh_keys.clone(),
        availability_zone: location
            .map(|l| catalogue.availability_zone(l).to_owned())
            .unwrap_or_default(),
        region: location.map(|l| l.text("network_zone").to_owned()).unwrap_or_default(),
        disk: server.disk,
        architecture: catalogue
            .server_type(server.server_type)
            .map(|t| t.text("architecture").to_owned())
            .unwrap_or_default(),
    }
}

fn subject(work: &Work) -> Id {
    match *work {
        Work::CreateServer { server, .. }
        | Work::Rebuild { server, .. }
        | Work::ChangeType { server, .. }
        | Work::CreateImage { server, .. }
        | Work::SetRescue { server, .. }
        | Work::Start(server)
        | Work::Stop(server)
        | Work::Shutdown(server)
        | Work::Reboot(server)
        | Work::Reset(server)
        | Work::DeleteServer(server) => server,
        _ => 0,
    }
}
