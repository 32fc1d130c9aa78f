//! Addresses, paths, tokens and filters in the settings, checked without network access.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use url::Url;

use super::kind::{Given, Invalid, Kind};
use super::place::Place;
use super::token::{Source, Token};
use super::types::{Endpoint, Origin};

/// A URL to download from.
pub struct WebAddress;

impl Kind for WebAddress {
    type Value = Url;

    fn values() -> String {
        "URL".to_owned()
    }

    fn read(given: Given) -> Result<Url, Invalid> {
        let text = given.single()?;
        match text.parse::<Url>() {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
            _ => Err(Invalid::new(format!(
                "{text:?} is not an address: write it as https://factory.example"
            ))),
        }
    }

    fn show(url: &Url) -> Option<String> {
        Some(url.to_string())
    }
}

/// The address of a cloud's API.
pub struct ApiAddress;

impl Kind for ApiAddress {
    type Value = Endpoint;

    fn values() -> String {
        "URL".to_owned()
    }

    fn read(given: Given) -> Result<Endpoint, Invalid> {
        let origin = given.from.as_ref().map_or(Origin::File, |(_, origin)| *origin);
        let url = given.single()?.trim().to_owned();
        api_address(&url).map_err(Invalid::new)?;
        Ok(Endpoint { url, origin })
    }

    fn show(endpoint: &Endpoint) -> Option<String> {
        Some(endpoint.url.clone())
    }
}

/// An API token. It is never shown.
pub struct Secret;

impl Kind for Secret {
    type Value = Token;

    fn values() -> String {
        "text".to_owned()
    }

    fn read(given: Given) -> Result<Token, Invalid> {
        let source = match &given.from {
            Some((Place::Variable(name), _)) => Source::Variable(name.clone()),
            _ => Source::Setting,
        };
        Ok(Token::new(&given.single()?, source))
    }

    fn show(_: &Token) -> Option<String> {
        None
    }

    fn same(one: &Token, other: &Token) -> bool {
        one.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// Checks that the text can be an API address.
pub fn api_address(text: &str) -> Result<(), String> {
    let url = text.parse::<Url>().ok();
    match url {
        Some(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => Ok(()),
        _ if text.contains("://") && !text.starts_with("http") => {
            Err(format!("{text:?} is not an http(s) address"))
        }
        _ => {
            let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| text.starts_with(here));
            let scheme = if is_here { "http" } else { "https" };
            let rest = text.trim_start_matches(['/', ':']);
            let rest = if rest.is_empty() { "api.hetzner.cloud/v1" } else { rest };
            let written = match text.split_once("://") {
                Some(_) => "https://api.hetzner.cloud/v1".to_owned(),
                None => format!("{scheme}://{rest}"),
            };
            Err(format!(
                "{text:?} is not an API address: write it with its scheme, such as {written}"
            ))
        }
    }
}

/// A path of this computer that does not depend on the current directory.
pub struct LocalPath;

impl Kind for LocalPath {
    type Value = PathBuf;

    fn values() -> String {
        "absolute path".to_owned()
    }

    fn read(given: Given) -> Result<PathBuf, Invalid> {
        let text = given.single()?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        local_path(&text, home.as_deref()).map_err(Invalid::new)?;
        Ok(text.into())
    }

    fn show(path: &PathBuf) -> Option<String> {
        Some(path.display().to_string())
    }
}

fn local_path(text: &str, home: Option<&Path>) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty: remove the setting, or write a path".to_owned());
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("{text:?} is an address: write only the path, {rest}"));
    }
    let home = home.unwrap_or(Path::new("/home/you"));
    if let Some(rest) = text.strip_prefix("~/") {
        let written = home.join(rest);
        return Err(format!("{text:?}: only shells expand `~`; write {}", written.display()));
    }
    if text.contains('$') && !text.starts_with('/') {
        return Err(format!("{text:?}: variables are not expanded here; write the path itself"));
    }
    if !Path::new(text).is_absolute() {
        let written = home.join(text.trim_start_matches("./"));
        return Err(format!(
            "{text:?} is relative, so it would depend on the current directory: write an absolute \
             path such as {}",
            written.display()
        ));
    }
    Ok(())
}

/// A TCP address to listen on. A port alone is one of this computer's loopback address: nothing
/// else is listened on unless the address is written.
pub struct TcpAddress;

impl Kind for TcpAddress {
    type Value = SocketAddr;

    fn values() -> String {
        "port of `127.0.0.1`, or `ADDRESS:PORT`".to_owned()
    }

    fn read(given: Given) -> Result<SocketAddr, Invalid> {
        let text = given.single()?;
        tcp_address(text.trim()).ok_or_else(|| {
            Invalid::new(format!(
                "{text:?} is no address: write a port such as 9466, or an IP address with a port \
                 such as 127.0.0.1:9466"
            ))
        })
    }

    fn show(address: &SocketAddr) -> Option<String> {
        Some(address.to_string())
    }
}

fn tcp_address(text: &str) -> Option<SocketAddr> {
    let port = text.parse::<u16>().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let address = port.or_else(|_| text.parse::<SocketAddr>()).ok()?;
    // Port 0 would be another one after each start.
    (address.port() != 0).then_some(address)
}

/// A filter of log events.
pub struct LogFilter;

impl Kind for LogFilter {
    type Value = String;

    fn values() -> String {
        "`error`, `warn`, `info`, `debug`, `trace`, `off`, or a list such as `info,tunnel=debug`"
            .to_owned()
    }

    fn read(given: Given) -> Result<String, Invalid> {
        let text = given.single()?;
        match is_filter(&text) {
            true => Ok(text),
            false => Err(Invalid::new(format!(
                "`logging.level` is invalid: {text:?} is none of error, warn, info, debug, trace \
                 and off, nor a list such as info,tunnel=debug"
            ))),
        }
    }

    fn show(filter: &String) -> Option<String> {
        Some(filter.clone())
    }
}

/// The library takes any word for a module's name, and then logs nothing.
fn is_filter(text: &str) -> bool {
    let is_level = |word: &str| {
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        levels.contains(&word.trim().to_ascii_lowercase().as_str())
    };
    let understood = text.split(',').all(|part| match part.rsplit_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    });
    understood && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_its_scheme_is_refused_with_the_one_that_is_meant() {
        assert_eq!(api_address("https://api.hetzner.cloud/v1"), Ok(()));
        assert_eq!(api_address("http://127.0.0.1:8080/v1"), Ok(()));
        for (text, expected) in [
            ("api.hetzner.cloud/v1", "such as https://api.hetzner.cloud/v1"),
            ("localhost:8080/v1", "such as http://localhost:8080/v1"),
            ("127.0.0.1:8080", "such as http://127.0.0.1:8080"),
            ("//host/v1", "such as https://host/v1"),
            ("", "is not an API address"),
            ("https://", "is not an API address"),
            ("ftp://host/v1", "is not an http(s) address"),
        ] {
            let message = api_address(text).unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_path_that_depends_on_the_shell_or_the_directory_is_refused_with_the_right_one() {
        let said = |text: &str| local_path(text, Some(Path::new("/home/ada"))).unwrap_err();
        assert_eq!(local_path("/run/x.sock", None), Ok(()));
        assert!(said("~/x.sock").ends_with("write /home/ada/x.sock"));
        assert!(said("./x.sock").ends_with("such as /home/ada/x.sock"));
        assert!(said("x.sock").contains("is relative"));
        assert!(said("$HOME/x.sock").contains("variables are not expanded"));
        assert!(said("unix:///run/x.sock").ends_with("write only the path, /run/x.sock"));
        assert!(said(" ").contains("it is empty"));
    }

    #[test]
    fn port_alone_is_one_of_loopback() {
        let read = |text: &str| tcp_address(text).map(|address| address.to_string());
        for (text, expected) in [
            ("9466", "127.0.0.1:9466"),
            ("127.0.0.1:9466", "127.0.0.1:9466"),
            ("[::1]:9466", "[::1]:9466"),
            ("0.0.0.0:9466", "0.0.0.0:9466"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected));
        }
        for wrong in ["", "0", ":9466", "localhost:9466", "127.0.0.1", "127.0.0.1:0", "65536"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_no_filter() {
        for good in ["info", "DEBUG", "off", "info,tunnel=debug", "warn,machine::cloud=trace"] {
            assert!(is_filter(good), "{good:?}");
        }
        for bad in ["", "verbose", "infoo", "tunnel=loud", "loud=quiet=1", "=info", "info,"] {
            assert!(!is_filter(bad), "{bad:?}");
        }
    }
}
