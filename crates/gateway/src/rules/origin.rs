//! The origin check, where browsers can reach the endpoint: a web page of any site may send
//! requests to a port of this computer, and a DNS name of the site may resolve to this computer.
//! Programs that are no browsers name the port by its own address, and send no `Origin`.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, Uri};

/// Set by browsers only, for every request. `none` means that the user typed the address.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why this request is refused, if it is.
pub(crate) fn refusal(uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let hosts = headers
        .get_all(HOST)
        .iter()
        .map(|host| host.to_str().ok())
        .chain(uri.authority().map(|authority| Some(authority.as_str())));
    let mut named = false;
    for host in hosts {
        named = true;
        if !host.is_some_and(is_this_computer) {
            return Some(
                "this endpoint is for this computer only: ask for it as localhost, 127.0.0.1 or \
                    [::1]. A request under another name may come from a web page",
            );
        }
    }
    if !named {
        return Some(
            "this endpoint is for this computer only: name it as localhost, 127.0.0.1 or [::1] \
                in the Host header",
        );
    }
    let from_a_page =
        headers.contains_key(ORIGIN) || headers.get(&FETCH_SITE).is_some_and(|site| site != "none");
    from_a_page.then_some("web pages may not use this endpoint: the request has an origin")
}

fn is_this_computer(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if is_port(port) => return address == "::1",
        Some(_) => return false,
        None => host
            .split_once(':')
            .map_or(Some(host), |(name, port)| is_port_number(port).then_some(name)),
    };
    name.is_some_and(|name| name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"))
}

fn is_port(rest: &str) -> bool {
    rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port_number)
}

fn is_port_number(port: &str) -> bool {
    port.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(uri: &str, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        refusal(&uri.parse().unwrap(), &headers).is_none()
    }

    #[test]
    fn only_names_of_this_computer_are_accepted() {
        for host in [
            "localhost",
            "localhost:2375",
            "LocalHost:1",
            "127.0.0.1",
            "127.0.0.1:2375",
            "[::1]",
            "[::1]:2375",
        ] {
            assert!(accepted("/info", &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:2375",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "[::2]",
            "::1",
            "0.0.0.0",
            "localhost:80@evil.example",
            "evil@localhost",
            "[::1].evil.example",
            "localhost:x",
        ] {
            assert!(!accepted("/info", &[("host", host)]), "{host}");
        }
        assert!(!accepted("/info", &[]));
        assert!(!accepted("http://evil.example/info", &[("host", "localhost")]));
        assert!(accepted("http://localhost:2375/info", &[("host", "localhost:2375")]));
    }

    #[test]
    fn requests_of_web_pages_are_refused() {
        assert!(!accepted("/info", &[("host", "localhost"), ("origin", "http://localhost")]));
        assert!(!accepted("/info", &[("host", "localhost"), ("origin", "null")]));
        for (site, is_accepted) in
            [("cross-site", false), ("same-site", false), ("same-origin", false), ("none", true)]
        {
            assert_eq!(
                accepted("/info", &[("host", "localhost"), ("sec-fetch-site", site)]),
                is_accepted,
                "{site}"
            );
        }
    }
}
