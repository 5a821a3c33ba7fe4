#![allow(clippy::unwrap_used)]

use http::Uri;

use super::proxy;

const OUTSIDE: &str = "http://proxy.example:3128";
const OF_KUBECONFIG: &str = "http://bastion.example:8888";

#[test]
fn the_proxy_of_the_environment_is_not_for_an_api_server_of_no_proxy_and_that_of_a_kubeconfig_is_for_all() {
    for (api_server, no_proxy, chosen, expected) in [
        ("https://10.0.0.1:6443", "", Some(OUTSIDE), Some(OUTSIDE)),
        ("https://10.0.0.1:6443", "10.0.0.1", Some(OUTSIDE), None),
        ("https://10.0.0.1:6443", "localhost,10.0.0.0/8", Some(OUTSIDE), None),
        ("https://10.0.0.1:6443", "192.168.0.0/16", Some(OUTSIDE), Some(OUTSIDE)),
        ("https://api.cluster.example", ".cluster.example", Some(OUTSIDE), None),
        ("https://api.cluster.example", "proxy.example", Some(OUTSIDE), Some(OUTSIDE)),
        ("https://api.cluster.example", "*", Some(OUTSIDE), None),
        ("https://api.cluster.example", "*", Some(OF_KUBECONFIG), Some(OF_KUBECONFIG)),
        ("https://api.cluster.example", "", None, None),
    ] {
        let variable = |name: &str| match name {
            "HTTPS_PROXY" => Some(OUTSIDE.to_owned()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        };
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let given = proxy(chosen.map(uri), &uri(api_server), &variable);
        assert_eq!(given, expected.map(uri), "{api_server}, NO_PROXY={no_proxy}, {chosen:?}");
    }
    let without = proxy(Some(OF_KUBECONFIG.parse().unwrap()), &"https://10.0.0.1".parse().unwrap(), &|_| None);
    assert_eq!(without.unwrap().to_string(), format!("{OF_KUBECONFIG}/"));
}
