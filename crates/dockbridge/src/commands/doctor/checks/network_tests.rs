use api::CheckCode;
use api::CheckState::{Broken, Hint, NotRun, Ok as Fine};

use super::*;

/// What can be wrong.
pub fn findings() -> Vec<(CheckCode, Found)> {
    let error = io::Error::other("no such name");
    let refused = Connected::Refused("connection refused".to_owned());
    let blocked = || Elsewhere::Blocked { hosts: vec!["a".to_owned(), "b".to_owned()] };
    let mut findings = vec![
        (CheckCode::NameLookup, judge_lookup(&server(false), Err(error))),
        (CheckCode::NameLookup, judge_lookup(&server(true), Ok(Vec::new()))),
        (CheckCode::Https, judge_https(&server(false), &[refused])),
        (CheckCode::Https, judge_https(&server(true), &[Connected::TimedOut])),
    ];
    let ports = [
        asked(None, Some(blocked())),
        asked(Some((blocked(), true)), Some(Elsewhere::Answers)),
        asked(Some((blocked(), false)), Some(Elsewhere::Answers)),
        asked(Some((blocked(), false)), None),
        asked(None, Some(Elsewhere::Unknown)),
    ];
    findings.extend(ports.map(|port| (CheckCode::SshPort, judge_ssh_port(&port))));
    findings
}

fn server(is_proxy: bool) -> Server {
    Server { host: "api.example".to_owned(), port: 443, is_proxy }
}

#[test]
fn proxy_of_the_environment_is_asked_in_place_of_the_api() {
    let proxies = Matcher::builder().all("http://[2001:db8::1]:3128").no("inside.example");
    let proxies = proxies.build();
    let of = |endpoint: &str| Server::of(endpoint, &proxies).unwrap();
    let proxy = Server { host: "2001:db8::1".to_owned(), port: 3128, is_proxy: true };
    assert_eq!(of("https://api.example/v1"), proxy);
    let inside = Server { host: "inside.example".to_owned(), port: 443, is_proxy: false };
    assert_eq!(of("https://inside.example/v1"), inside);
    let local = Server { host: "127.0.0.1".to_owned(), port: 8080, is_proxy: false };
    assert_eq!(of("http://127.0.0.1:8080/v1"), local);
}

#[test]
fn name_without_address_is_broken_and_an_address_needs_no_lookup() {
    let address = vec!["192.0.2.7:443".parse().unwrap()];
    let found = judge_lookup(&server(true), Ok(address));
    assert_eq!(found, Found::ok("the proxy api.example is 192.0.2.7"));
    let found = judge_lookup(&server(false), Err(io::Error::other("no such name")));
    assert_eq!(
        (found.state, &*found.message),
        (Broken, "api.example cannot be looked up: no such name")
    );
    assert_eq!(judge_lookup(&server(false), Ok(Vec::new())).state, Broken);
    let literal = Server { host: "::1".to_owned(), ..server(false) };
    assert_eq!(judge_lookup(&literal, Ok(Vec::new())).state, Fine);
}

#[test]
fn one_address_that_accepts_a_connection_is_enough() {
    let refused = || Connected::Refused("connection refused".to_owned());
    let judged = |attempts: &[Connected]| judge_https(&server(false), attempts);
    assert_eq!(judged(&[refused(), Connected::Yes]).state, Fine);
    assert_eq!(
        judged(&[refused()]).message,
        "api.example refuses connections to port 443: connection refused"
    );
    let silent = "api.example does not answer at port 443 within 5 s";
    assert_eq!(judged(&[Connected::TimedOut, refused()]).message, silent);
    assert_eq!(judged(&[]).state, Broken);
}

fn asked(machine: Option<(Elsewhere, bool)>, elsewhere: Option<Elsewhere>) -> Port22 {
    let machine =
        machine.map(|(found, is_young)| Machine { name: "db-default".to_owned(), found, is_young });
    Port22::Asked { machine, hosts: vec!["a".to_owned(), "b".to_owned()], elsewhere }
}

#[test]
fn blocked_port_is_distinguished_from_a_machine_that_does_not_answer() {
    let blocked = || Elsewhere::Blocked { hosts: vec!["a".to_owned(), "b".to_owned()] };
    let (answers, unknown) = (|| Some(Elsewhere::Answers), || Some(Elsewhere::Unknown));
    for (port, state, part) in [
        (Port22::Tunnel, Fine, "tunnel"),
        (Port22::Jump("ssh connects".to_owned()), NotRun, "ssh connects"),
        (asked(Some((Elsewhere::Answers, false)), None), Fine, "db-default answers"),
        (asked(Some((blocked(), false)), answers()), Broken, "but the machine db-default"),
        (asked(Some((blocked(), false)), Some(blocked())), Broken, "lets no TCP 22 out: a and"),
        (asked(Some((blocked(), true)), answers()), Hint, "does not answer yet"),
        (asked(Some((blocked(), false)), None), Broken, "db-default does not answer"),
        (asked(None, answers()), Fine, "a or b answers (`ssh.port_check`)"),
        (asked(None, Some(blocked())), Broken, "a and b do not answer"),
        (asked(None, unknown()), Hint, "a or b cannot be looked up"),
        (asked(None, None), NotRun, "no host to ask"),
    ] {
        let found = judge_ssh_port(&port);
        assert_eq!(found.state, state, "{port:?}");
        assert!(found.message.contains(part), "{}", found.message);
    }
}
