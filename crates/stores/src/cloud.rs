//! What the stores in clouds have in common: endpoints set by hand, how long a call may take, causes of errors.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use http::Uri;

/// How long one question to a store in a cloud may take, unless it is set.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// An endpoint set by hand that cannot be used. The endpoint itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// It is no URL of a server.
    #[error("the endpoint is no URL of a server; write https://host, https://host:port or https://host/path")]
    NotAUrl,
    /// It holds a user, or a query.
    #[error("the endpoint holds a user, a password or a query; write only https://host:port and, if needed, a path")]
    MoreThanAnAddress,
    /// Credentials would go over the network in the clear.
    #[error("an access token would go to the endpoint unencrypted; write https:// (http:// is for this host only)")]
    TokenInTheClear,
}

/// An endpoint set by hand, after a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https`, as opposed to `http`.
    pub(crate) encrypted: bool,
    /// It is on this very host, by its name `localhost` or its address.
    pub(crate) loopback: bool,
}

/// Checks an endpoint set by hand: `http` or `https`, a host, no user, no query.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<Endpoint, InvalidEndpoint> {
    let uri: Uri = endpoint.parse().map_err(|_| InvalidEndpoint::NotAUrl)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(InvalidEndpoint::NotAUrl);
    };
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(InvalidEndpoint::MoreThanAnAddress);
    }
    let host = authority.host();
    if host.is_empty() {
        return Err(InvalidEndpoint::NotAUrl);
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(Endpoint { encrypted: true, loopback }),
        "http" => Ok(Endpoint { encrypted: false, loopback }),
        _ => Err(InvalidEndpoint::NotAUrl),
    }
}

/// A setting that may be left out or left empty, as Flyte's files have it.
pub(crate) fn set(setting: Option<&str>) -> Option<&str> {
    setting.filter(|text| !text.is_empty())
}

/// The causes of a failure to send a request. For nothing else: the causes of a bad answer may quote it.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in std::iter::successors(error.source(), |error| (*error).source()) {
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_the_url_of_a_server() {
        for (endpoint, encrypted, loopback) in [
            ("https://secretsmanager.internal", true, false),
            ("https://vpce-1.example:8443/path", true, false),
            ("http://127.0.0.1:5000", false, true),
            ("http://[::1]:5000", false, true),
            ("http://localhost:5000", false, true),
            ("http://198.51.100.1:5000", false, false),
        ] {
            assert_eq!(check_endpoint(endpoint), Ok(Endpoint { encrypted, loopback }), "{endpoint}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_not_repeated() {
        for (endpoint, problem) in [
            ("", InvalidEndpoint::NotAUrl),
            ("/path", InvalidEndpoint::NotAUrl),
            ("secretsmanager.internal", InvalidEndpoint::NotAUrl),
            ("ftp://host", InvalidEndpoint::NotAUrl),
            ("https://", InvalidEndpoint::NotAUrl),
            ("https://user:planted@host", InvalidEndpoint::MoreThanAnAddress),
            ("https://host/?token=planted", InvalidEndpoint::MoreThanAnAddress),
        ] {
            assert_eq!(check_endpoint(endpoint), Err(problem), "{endpoint}");
            assert!(!problem.to_string().contains("planted"));
        }
    }
}
