//! Access to the cloud with this profile's identity: clients of its API, and the provider of the
//! profile's machine.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use api::Code;
use daemon::AuditLog;
use hetzner::{Client, Labels};
use machine::{
    ApiAccess, Cloud, CloudOptions, Identity, NextMachine, Owner, PortCheck, PortWindows, Spec,
};
use russh::keys::PrivateKey;
use secrecy::SecretString;
use tunnel::AgentPlan;
use url::Url;

use crate::agents::agents;
use crate::failure::{Failure, Outcome, with_causes};
use crate::output::complain;
use crate::resolved::{BOOT_LEASE_SECONDS, Resolved, command_line};

/// Public hosts whose TCP 22 answers everyone. Two of them, so that one that is down or blocked by
/// name does not look like a blocked port.
pub(crate) const PORT_CHECK: [&str; 2] = ["github.com", "gitlab.com"];

impl Resolved {
    /// The API of the cloud project.
    pub fn client(&self, token: SecretString) -> Outcome<Client> {
        let client = client_at(&self.endpoint(), token)?;
        let log = AuditLog::in_directory(&self.paths.profile_state(&self.profile), command_line());
        Ok(client.reporting_to(Arc::new(move |change| log.enter(change))))
    }

    /// How to check whether TCP 22 is open in this network. A local cloud answers at its own
    /// address in place of the public hosts; for the loopback there is nothing to check.
    pub fn port_check(&self) -> PortCheck {
        if let Some(hosts) = &self.settings.ssh.port_check {
            return PortCheck { hosts: hosts.clone(), accepts_refusal: false };
        }
        let endpoint = self.endpoint();
        if !endpoint.starts_with("http://") {
            return PortCheck {
                hosts: PORT_CHECK.map(str::to_owned).to_vec(),
                accepts_refusal: false,
            };
        }
        let url = endpoint.parse::<Url>().ok();
        let host = url.as_ref().and_then(Url::host).filter(|host| match host {
            url::Host::Domain(name) => *name != "localhost",
            url::Host::Ipv4(address) => !address.is_loopback(),
            url::Host::Ipv6(_) => false,
        });
        PortCheck { hosts: host.iter().map(ToString::to_string).collect(), accepts_refusal: true }
    }

    /// The cloud for a command that looks at this profile's machine or takes it down. Writes
    /// nothing: without an owner id, nothing in the cloud is this user's.
    pub fn looking(&self) -> Outcome<Cloud> {
        if let Some(host) = self.own_host() {
            return Err(Failure::of_code(
                Code::OwnHost,
                format!(
                    "the machine of profile {} is {host}, a host of your own: dockbridge neither \
                 creates nor deletes it",
                    self.profile
                ),
            ));
        }
        self.looking_at_project()
    }

    /// Like `looking`, for all profiles of this owner.
    pub fn looking_at_project(&self) -> Outcome<Cloud> {
        let token = self.token()?;
        let client = self.client(token.clone())?;
        self.looking_with(client, token)
    }

    /// Like `looking_at_project`, with a client that exists already.
    pub fn looking_with(&self, client: Client, token: SecretString) -> Outcome<Cloud> {
        let login = self.login_key_or_another()?;
        Ok(self.cloud_of(client, token, self.owner_or_temporary()?, login))
    }

    /// The owner for a command that looks. Without one, a temporary id that owns nothing and is
    /// not saved.
    pub fn owner_or_temporary(&self) -> Outcome<Owner> {
        Ok(self.known_owner()?.unwrap_or_else(Owner::random))
    }

    /// The provider of this profile's machine. Creates owner id and login key if needed.
    pub fn cloud(&self) -> Outcome<Cloud> {
        let token = self.token()?;
        let client = self.client(token.clone())?;
        let (owner, login) = (self.owner()?, self.login_key()?);
        Ok(self.cloud_of(client, token, owner, login))
    }

    /// The cloud with a login key of the caller's, as while the key is replaced.
    pub fn cloud_with(&self, login: Arc<PrivateKey>) -> Outcome<Cloud> {
        let token = self.token()?;
        Ok(self.cloud_of(self.client(token.clone())?, token, self.owner()?, login))
    }

    /// What a running daemon may change for its next machine.
    pub fn next_machine(&self) -> NextMachine {
        let hetzner = &self.settings.hetzner;
        let spec = Spec {
            server_types: hetzner.server_types.clone(),
            locations: hetzner.locations.clone(),
            image: hetzner.image.clone(),
            volume_size: hetzner.volume_size,
            boot_lease_seconds: BOOT_LEASE_SECONDS,
        };
        NextMachine {
            spec,
            idle_limit: self.lease().idle_limit,
            resume: self.settings.activity.resume,
            port_check: self.port_check(),
        }
    }

    fn cloud_of(
        &self,
        client: Client,
        token: SecretString,
        owner: Owner,
        login: Arc<PrivateKey>,
    ) -> Cloud {
        let NextMachine { spec, resume, port_check, .. } = self.next_machine();
        let plan = AgentPlan {
            binaries: agents(),
            directory: machine::RUN_DIRECTORY.to_owned(),
            installed: Some(machine::LIBRARY_DIRECTORY.to_owned()),
            resident: true,
        };
        let options = CloudOptions {
            identity: Identity { profile: self.profile.clone(), owner },
            spec,
            login,
            agent: plan,
            lease: self.lease(),
            self_destruct: self.settings.keepalive.self_destruct,
            api: ApiAccess { endpoint: self.endpoint(), token },
            resume,
            boot_history: daemon::boot_history_of(&self.paths.profile_state(&self.profile)),
            port_windows: PortWindows::new(self.paths.port_windows()),
            port_check,
            books: self.books(),
        };
        Cloud::new(client, options)
    }
}

/// Whether the token may write. Creates nothing: the request has neither name nor key, so the cloud
/// refuses it; it refuses a read-only token before.
pub async fn may_write(client: &Client) -> Result<bool, hetzner::Error> {
    match client.ssh_keys().create("", "", &Labels::new()).await {
        Err(error) if error.is_read_only() => Ok(false),
        Err(error) if error.api().is_none() => Err(error),
        _ => Ok(true),
    }
}

/// A client of the API at this address.
pub fn client_at(endpoint: &str, token: SecretString) -> Outcome<Client> {
    let url: Url = endpoint.parse().map_err(|error| {
        Failure::of_code(
            Code::SettingsInvalid,
            format!("{endpoint:?} is not an API address: {error}"),
        )
        .hint("change `hetzner.endpoint` or HCLOUD_ENDPOINT")
    })?;
    let client = Client::new(url, token).map_err(|error| {
        let failure = Failure::of_code(Code::SettingsInvalid, with_causes(&error));
        match error {
            hetzner::Error::Endpoint { .. } => {
                failure.hint("change `hetzner.endpoint` or HCLOUD_ENDPOINT")
            }
            _ => failure,
        }
    })?;
    let client =
        if std::io::stderr().is_terminal() { client.saying(report_waiting) } else { client };
    // A cloud on this host answers in microseconds, and its rate limit needs no sparing.
    Ok(if endpoint.starts_with("http://") {
        client.with(hetzner::Config {
            backoff: Duration::from_millis(50),
            ..hetzner::Config::default()
        })
    } else {
        client
    })
}

/// Notifies the user at the terminal.
fn report_waiting(endpoint: &str) {
    complain(&format!("Waiting for {endpoint} to answer …"));
}
