//! The checks: each code with the function that looks and judges. What a check sees and what it
//! says of it stand in the file of its subject.

mod cloud;
mod daemon;
mod docker;
mod files;
#[cfg(test)]
mod findings;
mod network;
mod program;
mod stock;
mod token;

use api::CheckCode;

use super::found::Found;
use super::surroundings::Surroundings;

/// Checks that concern a cloud project.
const OF_THE_CLOUD: [CheckCode; 10] = [
    CheckCode::Token,
    CheckCode::NameLookup,
    CheckCode::Https,
    CheckCode::Api,
    CheckCode::TokenWrites,
    CheckCode::Clock,
    CheckCode::ServerTypes,
    CheckCode::RateLimit,
    CheckCode::Orphans,
    CheckCode::Volumes,
];

/// Makes one check.
pub async fn look(code: CheckCode, around: &Surroundings) -> Found {
    if let Some(host) = around.resolved.own_host()
        && OF_THE_CLOUD.contains(&code)
    {
        return Found::not_run(format!("the machine is {host}, a host of your own"));
    }
    match code {
        CheckCode::Settings => files::settings(around),
        CheckCode::Files => files::files(around),
        CheckCode::Token => token::token(around).await,
        CheckCode::NameLookup => network::name_lookup(around).await,
        CheckCode::Https => network::https(around).await,
        CheckCode::Api => token::api(around).await,
        CheckCode::TokenWrites => token::writes(around).await,
        CheckCode::Clock => token::clock(around).await,
        CheckCode::SshPort => network::ssh_port(around).await,
        CheckCode::ServerTypes => stock::server_types(around).await,
        CheckCode::RateLimit => cloud::rate_limit(around).await,
        CheckCode::Orphans => cloud::orphans(around).await,
        CheckCode::Volumes => cloud::volumes(around).await,
        CheckCode::DockerClient => docker::client(around).await,
        CheckCode::DockerContext => docker::context(around).await,
        CheckCode::Socket => daemon::socket(around).await,
        CheckCode::Service => daemon::service(around).await,
        CheckCode::Versions => program::versions(around).await,
        CheckCode::Agent => program::agent(around),
        CheckCode::VolumeFill => daemon::volume_fill(around).await,
        CheckCode::LockSensor => program::lock_sensor(around).await,
    }
}
