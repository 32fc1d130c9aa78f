//! The work on volumes.

use super::chain::{Late, Work};
use super::effect::Effect;
use crate::hypervisor::Format;
use crate::state::Project;
use crate::state::action::ActionError;

/// Maximum number of volumes of a server; the next attachment ends in an action error.
const MAX_PER_SERVER: usize = 16;

pub(super) fn begin(work: &Work, project: &mut Project) -> Result<Vec<Effect>, ActionError> {
    let gone = || ActionError::failed("volume is gone");
    match *work {
        Work::CreateVolume(volume) => {
            let record = project.volumes.get(&volume).ok_or_else(gone)?;
            let format = match record.format.as_deref() {
                Some("ext4") => Some(Format::Ext4),
                Some("xfs") => Some(Format::Xfs),
                _ => None,
            };
            Ok(vec![Effect::CreateVolume { volume, size: record.size, format }])
        }
        Work::Attach { volume, server, late, automount } => {
            if project.volumes_of(server).len() >= MAX_PER_SERVER {
                return Err(ActionError::new("limit_exceeded_error", "too many volumes"));
            }
            Ok(match late {
                None if automount => {
                    vec![Effect::Attach { volume, server }, Effect::Mount { volume, server }]
                }
                None => vec![Effect::Attach { volume, server }],
                Some(Late { wrong_disk: true, .. }) => {
                    vec![Effect::ShowWrongDisk { volume, server }]
                }
                Some(_) => Vec::new(),
            })
        }
        Work::Detach(volume) => {
            let server = project.volumes.get(&volume).ok_or_else(gone)?.server;
            Ok(server.map(|server| Effect::Detach { volume, server }).into_iter().collect())
        }
        Work::Resize { volume, size } => Ok(vec![Effect::ResizeVolume { volume, size }]),
        _ => Ok(Vec::new()),
    }
}

pub(super) fn finish(work: &Work, project: &mut Project, done: bool) {
    if let (Work::CreateVolume(volume), false) = (work, done) {
        project.volumes.remove(volume);
        return;
    }
    let (Work::CreateVolume(volume)
    | Work::Attach { volume, .. }
    | Work::Detach(volume)
    | Work::Resize { volume, .. }) = work
    else {
        return;
    };
    let Some(record) = project.volumes.get_mut(volume).filter(|_| done) else { return };
    match *work {
        Work::CreateVolume(_) => record.available = true,
        Work::Attach { server, .. } => record.server = Some(server),
        Work::Detach(_) => record.server = None,
        Work::Resize { size, .. } => record.size = size,
        _ => {}
    }
}
