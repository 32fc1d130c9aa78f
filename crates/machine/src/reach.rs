//! Decides why a server does not serve this computer. Pure: observations come in, a verdict comes
//! out. It must not know how an observation is made (`cloud/probe.rs`) or what a wake does about a
//! verdict (`cloud/reconcile.rs`).

use std::time::Duration;

/// The result of one attempt to open a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knock {
    /// The connection was accepted.
    Answers,
    /// A reset or an ICMP error came back: the host, or a firewall on the path, refuses.
    Refused,
    /// Nothing came back.
    TimedOut,
}

/// Whether this computer's network lets TCP 22 out, by other hosts whose TCP 22 is known to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// One of them answered as an SSH server.
    Answers,
    /// None answered, and dockbridge could ask at least one.
    Blocked {
        /// The hosts that were asked, such as `github.com`.
        hosts: Vec<String>,
    },
    /// Not known: no host is set, or no name could be resolved.
    Unknown,
}

/// The cloud's answer about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudSays {
    /// The server runs.
    Running,
    /// An action runs on the server, or its status is temporary.
    Busy,
    /// The server is off.
    Off,
    /// There is no such server.
    Absent,
    /// The API did not answer.
    Nothing,
}

/// How far an SSH login got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// The connection was accepted, and the SSH server did not answer in time or broke off.
    NoAnswer,
    /// The server refused this computer's login key.
    KeyRefused,
    /// The host key is none of those in the server's labels.
    OtherHostKey,
}

/// All observations of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// TCP 22 of the server.
    pub knock: Knock,
    /// TCP 22 of other hosts.
    pub elsewhere: Elsewhere,
    /// The login; `None` where no connection was accepted.
    pub login: Option<Login>,
    /// The API's answer.
    pub cloud: CloudSays,
    /// The server was created so recently that it may still be booting.
    pub is_young: bool,
    /// How long dockbridge has tried the server.
    pub tried: Duration,
}

/// Why a server does not serve this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server no longer exists.
    Absent,
    /// The cloud works on the server, or the server boots: observe again.
    Passing,
    /// This network blocks outgoing TCP 22.
    Blocked {
        /// Other hosts that do not answer either.
        hosts: Vec<String>,
    },
    /// The server does not accept this computer's login key.
    WrongLogin,
    /// Another machine answers at the server's address.
    AnotherMachine,
    /// TCP 22 accepts connections, and the SSH server does not answer: the machine is overloaded.
    Busy,
    /// TCP 22 of the server does not answer, although the cloud says that the server runs.
    Silent {
        /// TCP 22 of another host answers, so this network is not the cause.
        is_the_server: bool,
    },
}

/// A server that has served before answers a login within this time.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);
/// A key that is refused for this long is not accepted later.
const LONGEST_REFUSAL: Duration = Duration::from_secs(3);

/// Decides why a server that was tried does not serve.
pub fn judge(seen: &Seen) -> Verdict {
    match seen.cloud {
        CloudSays::Absent => return Verdict::Absent,
        CloudSays::Off => return Verdict::Passing,
        CloudSays::Busy | CloudSays::Running | CloudSays::Nothing => {}
    }
    if let Some(login) = seen.login {
        let may_pass = seen.is_young || seen.cloud == CloudSays::Busy;
        return match login {
            _ if may_pass && seen.tried < LONGEST_ANSWER => Verdict::Passing,
            Login::KeyRefused if seen.tried < LONGEST_REFUSAL => Verdict::Passing,
            Login::KeyRefused => Verdict::WrongLogin,
            Login::OtherHostKey => Verdict::AnotherMachine,
            Login::NoAnswer if may_pass || seen.tried < LONGEST_ANSWER => Verdict::Passing,
            Login::NoAnswer => Verdict::Busy,
        };
    }
    match (&seen.elsewhere, seen.cloud) {
        // If the API does not answer either, the whole network may be down, not one port blocked.
        (Elsewhere::Blocked { hosts }, CloudSays::Running | CloudSays::Busy) => {
            Verdict::Blocked { hosts: hosts.clone() }
        }
        (_, CloudSays::Busy) => Verdict::Passing,
        _ if seen.is_young || seen.tried < LONGEST_ANSWER => Verdict::Passing,
        (elsewhere, _) => Verdict::Silent { is_the_server: *elsewhere == Elsewhere::Answers },
    }
}

/// Who may hold a server that does not answer this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// This wake created the server and has not logged in to it.
    pub is_fresh: bool,
    /// The server's labels differ from those of its creation: another client has used it.
    pub is_settled: bool,
}

/// Whether a server may be deleted because it does not answer. The cloud reports it as running, so
/// its lease, a pin or another client may hold it, and a computer that cannot reach the machine
/// cannot ask. So only a server that this wake has just created is deleted, and only if another
/// host's TCP 22 answers: then no other client reaches the server either.
pub fn may_remove(verdict: &Verdict, hold: Hold) -> bool {
    *verdict == Verdict::Silent { is_the_server: true } && hold.is_fresh && !hold.is_settled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocked() -> Elsewhere {
        Elsewhere::Blocked { hosts: vec!["github.com".to_owned()] }
    }

    /// A server that runs, has served before, and no longer answers.
    fn silent() -> Seen {
        Seen {
            knock: Knock::TimedOut,
            elsewhere: Elsewhere::Answers,
            login: None,
            cloud: CloudSays::Running,
            is_young: false,
            tried: LONGEST_ANSWER,
        }
    }

    fn login(login: Login) -> Seen {
        Seen { knock: Knock::Answers, login: Some(login), ..silent() }
    }

    #[test]
    fn each_cause_has_its_own_verdict() {
        let hosts = vec!["github.com".to_owned()];
        let unknown = Seen { elsewhere: Elsewhere::Unknown, ..silent() };
        let rows = [
            (Seen { elsewhere: blocked(), ..silent() }, Verdict::Blocked { hosts }),
            (silent(), Verdict::Silent { is_the_server: true }),
            (unknown, Verdict::Silent { is_the_server: false }),
            (login(Login::KeyRefused), Verdict::WrongLogin),
            (login(Login::OtherHostKey), Verdict::AnotherMachine),
            (login(Login::NoAnswer), Verdict::Busy),
            (Seen { cloud: CloudSays::Absent, ..silent() }, Verdict::Absent),
            (Seen { cloud: CloudSays::Busy, ..silent() }, Verdict::Passing),
            (Seen { cloud: CloudSays::Off, elsewhere: blocked(), ..silent() }, Verdict::Passing),
            (Seen { is_young: true, ..silent() }, Verdict::Passing),
        ];
        for (seen, verdict) in rows {
            assert_eq!(judge(&seen), verdict, "{seen:?}");
        }
    }

    #[test]
    fn network_that_is_down_is_not_a_blocked_port() {
        let away = Seen { cloud: CloudSays::Nothing, elsewhere: blocked(), ..silent() };
        assert_eq!(judge(&away), Verdict::Silent { is_the_server: false });
    }

    #[test]
    fn refused_key_is_final_sooner_than_a_silent_server() {
        let at = |seconds| Seen { tried: Duration::from_secs(seconds), ..login(Login::KeyRefused) };
        assert_eq!([judge(&at(1)), judge(&at(4))], [Verdict::Passing, Verdict::WrongLogin]);
        let young = Seen { is_young: true, ..at(4) };
        assert_eq!(judge(&young), Verdict::Passing, "cloud-init puts the key in place");
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        let knock = prop_oneof![Just(Knock::Answers), Just(Knock::Refused), Just(Knock::TimedOut)];
        let elsewhere =
            prop_oneof![Just(Elsewhere::Answers), Just(Elsewhere::Unknown), Just(blocked())];
        let logins = [Login::NoAnswer, Login::KeyRefused, Login::OtherHostKey];
        let login = proptest::option::of(proptest::sample::select(logins.to_vec()));
        let says = [
            CloudSays::Running,
            CloudSays::Busy,
            CloudSays::Off,
            CloudSays::Absent,
            CloudSays::Nothing,
        ];
        let cloud = proptest::sample::select(says.to_vec());
        (knock, elsewhere, login, cloud, any::<bool>(), 0_u64..400).prop_map(
            |(knock, elsewhere, login, cloud, is_young, tried)| Seen {
                knock,
                elsewhere,
                login,
                cloud,
                is_young,
                tried: Duration::from_secs(tried),
            },
        )
    }

    proptest! {
        #[test]
        fn no_server_is_deleted_that_another_client_may_hold(
            seen in any_seen(), is_fresh in any::<bool>(), is_settled in any::<bool>(),
        ) {
            let removes = may_remove(&judge(&seen), Hold { is_fresh, is_settled });
            let is_known = seen.elsewhere == Elsewhere::Answers && seen.login.is_none();
            prop_assert!(!removes || (is_fresh && !is_settled && is_known && !seen.is_young));
        }

        #[test]
        fn settled_server_has_a_final_verdict_after_the_longest_answer(seen in any_seen()) {
            let is_settled = seen.cloud == CloudSays::Running && !seen.is_young;
            let is_over = seen.tried > LONGEST_ANSWER;
            prop_assert!(!(is_settled && is_over) || judge(&seen) != Verdict::Passing);
        }
    }
}
