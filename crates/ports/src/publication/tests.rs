use super::*;

const BIND: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn read_at(bind: IpAddr, json: &str) -> Vec<String> {
    let ports: PortMap = serde_json::from_str(json).unwrap();
    let described = |publication: Publication| {
        let lent = |claim| if claim == Claim::Spare { " lent" } else { "" };
        let twin = match publication.twin {
            Some(Twin { ip, claim }) => format!(" and {ip}{}", lent(claim)),
            None => String::new(),
        };
        let Publication { wanted, claim, remote, inside, .. } = publication;
        format!("{wanted}{}{twin} -> {remote} ({inside})", lent(claim))
    };
    let has = |address| address == IpAddr::from([192, 168, 7, 1]);
    publications(&ports, Here { bind, has }, Some("172.17.0.2".parse().unwrap()))
        .into_iter()
        .map(described)
        .collect()
}

/// `NetworkSettings.Ports` with one binding per entry: container port, host address, host port.
fn bound(entries: &[(&str, &str, &str)]) -> String {
    let mut ports = std::collections::BTreeMap::<&str, Vec<serde_json::Value>>::new();
    for (inside, address, port) in entries {
        let binding = serde_json::json!({ "HostIp": address, "HostPort": port });
        ports.entry(inside).or_default().push(binding);
    }
    serde_json::json!(ports).to_string()
}

fn read(json: &str) -> Vec<String> {
    read_at(BIND, json)
}

#[test]
fn a_port_for_all_addresses_answers_on_both_loopbacks() {
    assert_eq!(
        read(r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}"#),
        ["127.0.0.1:8080 and ::1 -> 127.0.0.1:8080 (80)"]
    );
    assert_eq!(
        read(&bound(&[("80/tcp", "0.0.0.0", "8080"), ("80/tcp", "::", "8080")])),
        ["127.0.0.1:8080 and ::1 -> 127.0.0.1:8080 (80)"]
    );
}

#[test]
fn different_numbers_of_both_families_each_reach_their_own() {
    assert_eq!(
        read(&bound(&[("80/tcp", "0.0.0.0", "49153"), ("80/tcp", "::", "49154")])),
        [
            "127.0.0.1:49153 and ::1 lent -> 127.0.0.1:49153 (80)",
            "[::1]:49154 and 127.0.0.1 lent -> [::1]:49154 (80)",
        ]
    );
}

#[test]
fn one_number_of_both_families_may_reach_two_ports_of_one_container() {
    assert_eq!(
        read(&bound(&[("80/tcp", "0.0.0.0", "8080"), ("81/tcp", "::", "8080")])),
        [
            "127.0.0.1:8080 and ::1 lent -> 127.0.0.1:8080 (80)",
            "[::1]:8080 and 127.0.0.1 lent -> [::1]:8080 (81)",
        ]
    );
}

#[test]
fn a_bind_address_without_a_counterpart_is_lent_to_the_other_family() {
    let json =
        r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"80"},{"HostIp":"::","HostPort":"81"}]}"#;
    assert_eq!(
        read_at("192.168.7.1".parse().unwrap(), json),
        ["192.168.7.1:80 -> 127.0.0.1:80 (80)", "192.168.7.1:81 lent -> [::1]:81 (80)"]
    );
    assert_eq!(
        read_at("::1".parse().unwrap(), json),
        ["[::1]:80 lent -> 127.0.0.1:80 (80)", "[::1]:81 -> [::1]:81 (80)"]
    );
    assert_eq!(
        read_at(Ipv4Addr::UNSPECIFIED.into(), json),
        [
            "0.0.0.0:80 and :: lent -> 127.0.0.1:80 (80)",
            "[::]:81 and 0.0.0.0 lent -> [::1]:81 (80)"
        ]
    );
}

#[test]
fn a_loopback_address_is_honored_and_another_becomes_the_bind_address() {
    let json = &bound(&[
        ("80/tcp", "127.0.0.2", "80"),
        ("81/tcp", "10.0.0.5", "81"),
        ("82/tcp", "::1", "82"),
        ("83/udp", "", "83"),
    ]);
    assert_eq!(
        read(json),
        [
            "127.0.0.1:81 lent -> 10.0.0.5:81 (81)",
            "127.0.0.2:80 -> 127.0.0.2:80 (80)",
            "[::1]:82 -> [::1]:82 (82)",
            "127.0.0.1:83/udp and ::1 -> 127.0.0.1:83 (83)",
        ]
    );
    assert_eq!(
        read_at(Ipv4Addr::UNSPECIFIED.into(), json),
        [
            "0.0.0.0:81 lent -> 10.0.0.5:81 (81)",
            "127.0.0.2:80 -> 127.0.0.2:80 (80)",
            "[::1]:82 -> [::1]:82 (82)",
            "0.0.0.0:83/udp and :: -> 127.0.0.1:83 (83)",
        ]
    );
}

#[test]
fn an_address_of_this_computer_is_honored_where_ports_may_leave_it() {
    let json = r#"{"80/tcp":[{"HostIp":"192.168.7.1","HostPort":"8080"}]}"#;
    assert_eq!(
        read_at(Ipv4Addr::UNSPECIFIED.into(), json),
        ["192.168.7.1:8080 -> 172.17.0.2:80 (80)"]
    );
    assert_eq!(
        read_at("192.168.7.1".parse().unwrap(), json),
        ["192.168.7.1:8080 -> 172.17.0.2:80 (80)"]
    );
    assert_eq!(read(json), ["127.0.0.1:8080 lent -> 172.17.0.2:80 (80)"]);
}

#[test]
fn the_same_number_is_distinguished_by_protocol() {
    assert_eq!(
        read(r#"{"53/tcp":[{"HostPort":"53"}],"53/udp":[{"HostPort":"53"}]}"#),
        [
            "127.0.0.1:53 and ::1 -> 127.0.0.1:53 (53)",
            "127.0.0.1:53/udp and ::1 -> 127.0.0.1:53 (53)"
        ]
    );
}

#[test]
fn bindings_without_a_number_or_of_other_protocols_are_left_out() {
    let json = r#"{"80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":[{"HostPort":"0"}],
                   "82/tcp":[{"HostPort":"8000-8010"}],"83/sctp":[{"HostPort":"83"}],
                   "84/tcp":null}"#;
    assert!(read(json).is_empty());
}
