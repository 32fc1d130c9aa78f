//! `dockbridge key rotate`: a new login key for this computer. Machines and the project admit it
//! beside the former one; the former one is removed once the new one works and no daemon uses the
//! former one any more. A rotation that is cut off goes on where it was.

mod files;

use api::Code;
use tunnel::Fingerprint;

use self::files::{Files, Step};
use super::service::installed::Units;
use super::uninstall::all_profiles;
use crate::credentials::new_key;
use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a new login key, have machines admit it, and remove the former one once no daemon
    /// uses it
    Rotate,
}

pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match command {
        Command::Rotate => rotate(global).await,
    }
}

async fn rotate(global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load(global)?;
    if let Some(path) = &resolved.settings.ssh.private_key_path {
        return Err(Failure::bare(
            Code::KeyUnusable,
            format!("the login key is a file of your own, {}", path.display()),
        )
        .hint(
            "replace that file yourself, or remove `ssh.private_key_path` to use a key of \
               dockbridge's",
        ));
    }
    if resolved.known_login_key()?.is_none() {
        return Err(Failure::bare(Code::KeyUnusable, "this computer has no login key yet")
            .hint("`dockbridge init` makes one"));
    }
    let files = Files::beside(&resolved.paths.private_key());
    if files.step() == Step::Make {
        let (key, text) = new_key()?;
        files.make_next(&text)?;
        say(&format!("Made a new login key: {}", Fingerprint::of(key.public_key())));
    }
    if files.step() == Step::Admit {
        admit(&resolved, &files).await?;
    }
    let daemons = daemons(&resolved, global).await?;
    if !files.has_record() {
        let processes: Vec<u32> = daemons.iter().map(|daemon| daemon.process).collect();
        files.record_daemons(&processes)?;
    }
    let former = daemons.iter().filter(|daemon| files.may_use_former(daemon.process));
    let former: Vec<&Daemon> = former.collect();
    if !former.is_empty() {
        wait_for(&former);
        return Ok(());
    }
    remove(&resolved, &files).await
}

/// Makes the new key work everywhere, and then the login key of this computer.
async fn admit(resolved: &Resolved, files: &Files) -> Outcome {
    let next = resolved.cloud_with(files.next()?)?;
    next.register_login_key().await?;
    let names = resolved.cloud()?.admit_successor(&next).await.map_err(|error| {
        Failure::from(error)
            .hint("the former key stays in use; `dockbridge key rotate` goes on from here")
    })?;
    for name in names {
        say(&format!("Machine {name} admits it, and a login with it works."));
    }
    files.use_next()?;
    say("The new key is in the project, and in use on this computer.");
    Ok(())
}

async fn remove(resolved: &Resolved, files: &Files) -> Outcome {
    let former = files.former()?;
    let still_there = |error| {
        Failure::from(error).hint(
            "the new key is in use, and the former one is still admitted; `dockbridge key rotate` \
             tries again to remove it",
        )
    };
    let present = resolved.cloud()?;
    // A machine may have been made since, by a daemon that knew the former key alone.
    let before = resolved.cloud_with(former.clone())?;
    before.admit_successor(&present).await.map_err(still_there)?;
    present.dismiss_predecessor(former.public_key()).await.map_err(still_there)?;
    files.forget_former()?;
    say(&format!("Removed the former key: {}", Fingerprint::of(former.public_key())));
    Ok(())
}

/// A daemon of this home that runs.
#[derive(Debug)]
struct Daemon {
    profile: String,
    process: u32,
}

/// The daemons of all profiles that use the key of this home. The question starts none.
async fn daemons(resolved: &Resolved, global: &GlobalArgs) -> Outcome<Vec<Daemon>> {
    let mut found = Vec::new();
    for profile in all_profiles(resolved, global)? {
        let asleep = match Units::serving(&profile) {
            Some(units) => !units.has_daemon().await.unwrap_or(true),
            None => false,
        };
        if asleep || profile.settings.ssh.private_key_path.is_some() {
            continue;
        }
        if let Ok(status) = profile.daemon().status().await {
            let profile = profile.profile.to_string();
            found.push(Daemon { profile, process: status.process });
        }
    }
    Ok(found)
}

fn wait_for(daemons: &[&Daemon]) {
    say("The former key stays admitted, because these daemons may use it until they start again:");
    for Daemon { profile, process } in daemons {
        say(&format!("  profile {profile}, process {process}"));
    }
    say("Next: stop and start each, then `dockbridge key rotate` removes the former key.");
}
