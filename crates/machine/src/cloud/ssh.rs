//! Reaches the SSH server of a machine and logs in with the pinned host key.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tunnel::{ConnectError, Endpoint, HostKeys, Identity, Options, Transport, Tunnel};

use super::attempt::{Attempt, Lost, Purpose};
use super::diagnosis::{Tried, refused};
use super::probe::knock;
use super::project::Cloud;
use crate::error::MachineError;
use crate::identity::{HOST_KEY, NEXT_HOST_KEY};
use crate::login_timeout::login_timeout;
use crate::observed::Server;
use crate::reach::{CloudSays, Elsewhere, Knock, Login, Verdict, judge};

/// After the end of its creation a server that does not answer for this long is observed again.
/// Until then the actions of the creation say more than an observation.
const OBSERVE_AFTER_CREATION: Duration = Duration::from_secs(15);
/// A packet that a booting server did not answer is not answered later: send a new one rather than
/// wait for TCP's own retransmission.
const PROBE: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_millis(150);
/// After this long without an answer other hosts are probed for comparison.
const COMPARE_AFTER: Duration = Duration::from_secs(2);
/// And again after this long: the network may change while a server boots.
const COMPARE_AGAIN: Duration = Duration::from_secs(10);
/// After a refused login key: OpenSSH 9.8 and later lock out an address that fails often.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(1);
/// TCP port of the SSH server.
pub(super) const SSH_PORT: u16 = 22;

impl Cloud {
    /// Waits until something listens on the SSH port. Meanwhile probes other hosts, which shows why
    /// nothing does.
    pub(super) async fn await_ssh(
        &self,
        server: &Server,
        address: SocketAddr,
        attempt: Attempt<'_>,
    ) -> Result<(), Lost> {
        let mut creation = pin!(self.end_of(attempt.creation));
        let mut is_created = attempt.creation.is_none();
        let begun = Instant::now();
        let mut observe_at = begun + attempt.observe_after();
        let compare = |after: Duration| async move {
            sleep(after).await;
            self.options.port_check.ask().await
        };
        // Before a server is created the other hosts have just been probed.
        let first = if attempt.fresh.is_some() { COMPARE_AGAIN } else { COMPARE_AFTER };
        let mut comparing = pin!(compare(first));
        let (mut knocked, mut elsewhere) = (Knock::TimedOut, None::<Elsewhere>);
        while !is_created || Instant::now() < observe_at {
            tokio::select! {
                found = &mut comparing => {
                    let is_blocked = matches!(found, Elsewhere::Blocked { .. });
                    elsewhere = Some(found);
                    if is_blocked {
                        break;
                    }
                    comparing.set(compare(COMPARE_AGAIN));
                }
                answer = knock(address, PROBE) => {
                    if answer == Knock::Answers {
                        return Ok(());
                    }
                    knocked = answer;
                    sleep(BETWEEN_PROBES).await;
                }
                end = &mut creation, if !is_created => {
                    end.map_err(Lost::CreationFailed)?;
                    is_created = true;
                    observe_at = Instant::now() + OBSERVE_AFTER_CREATION;
                }
            }
        }
        let elsewhere = match elsewhere {
            Some(elsewhere) => elsewhere,
            None => self.options.port_check.ask().await,
        };
        let tried = begun.elapsed();
        let tried = Tried { knock: knocked, elsewhere, login: None, error: None, tried };
        Err(self.diagnose(server, attempt, tried).await)
    }

    /// Logs in, and starts the agent. Repeats what may succeed in a moment.
    pub(super) async fn log_in(
        &self,
        server: &Server,
        host: String,
        attempt: Attempt<'_>,
    ) -> Result<Tunnel, Lost> {
        let options = Options { agent: Some(self.options.agent.clone()), ..self.ssh(server, host) };
        let begun = Instant::now();
        let (mut timed_out, mut key_refused) = (0, false);
        loop {
            let limit = match attempt.purpose {
                Purpose::Serve => login_timeout(timed_out),
                Purpose::Join { limit } => limit,
            };
            let error = match Tunnel::connect_within(options.clone(), limit).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error @ ConnectError::Identity { .. }) => {
                    let (name, source) = (server.name.clone(), Box::new(error));
                    return Err(Lost::Failed(MachineError::Connect { name, source }));
                }
                Err(error) => error,
            };
            tracing::debug!(%error, "the login failed");
            timed_out += u32::from(matches!(error, ConnectError::TimedOut { .. }));
            // Another client may just be replacing the host key.
            if matches!(error, ConnectError::HostKeyRefused { .. })
                && self.has_other_host_keys(server).await
            {
                return Err(Lost::Observe("the host key was replaced meanwhile".to_owned()));
            }
            key_refused |= matches!(error, ConnectError::LoginRefused { .. });
            let login = match &error {
                ConnectError::HostKeyRefused { .. } => Login::OtherHostKey,
                // A server that has refused often closes further connections without a reason.
                _ if key_refused => Login::KeyRefused,
                _ => Login::NoAnswer,
            };
            let tried = Tried {
                knock: Knock::Answers,
                elsewhere: Elsewhere::Unknown,
                login: Some(login),
                error: Some(error),
                tried: begun.elapsed(),
            };
            // sshd listens before cloud-init has put key and login in place.
            if judge(&tried.seen(server, CloudSays::Running, self.now())) == Verdict::Passing
                && tried.tried < attempt.observe_after()
            {
                sleep(if key_refused { BETWEEN_REFUSALS } else { BETWEEN_PROBES }).await;
                continue;
            }
            return Err(self.diagnose(server, attempt, tried).await);
        }
    }

    async fn has_other_host_keys(&self, server: &Server) -> bool {
        match self.client.servers().get(server.id).await {
            Ok(Some(now)) => [HOST_KEY, NEXT_HOST_KEY]
                .iter()
                .any(|label| now.labels.get(*label) != server.labels.get(*label)),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// A login for a few commands, without an agent.
    pub(super) async fn plain_login(
        &self,
        server: &Server,
        address: IpAddr,
    ) -> Result<Tunnel, MachineError> {
        self.is_admitted(server).await?;
        let options = self.ssh(server, address.to_string());
        Tunnel::connect(options).await.map_err(|error| refused(server, error))
    }

    fn ssh(&self, server: &Server, host: String) -> Options {
        Options {
            endpoint: Endpoint { host, port: SSH_PORT, user: "root".to_owned() },
            host_keys: HostKeys::Pinned(server.host_keys.clone().into()),
            identity: Identity::Key(self.options.login.clone()),
            transport: Transport::Tcp,
            agent: None,
            docker_socket: Options::DOCKER_SOCKET.to_owned(),
        }
    }
}
