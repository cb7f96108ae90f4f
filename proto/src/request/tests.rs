use proptest::prelude::*;
use rand::thread_rng;

use super::*;
use crate::fixture;

#[test]
fn a_refusal_in_clear_asks_for_authentication() {
    let accepted = fixture::accepted(&fixture::settings(), &fixture::shared());
    let sealed = accepted.session.seal("_return", Map::new(), 5, &mut thread_rng());
    let reply = msgpack::encode(&"bad load".into());
    let error = accepted.session.open(&reply, &sealed.nonce, Strings::Text).unwrap_err();
    assert_eq!(error, ReplyError::Answer { answer: "bad load".into() });
    assert!(error.needs_auth());
    let reply = msgpack::encode_map(&[("error", "Routing error")].into());
    let error = accepted.session.open(&reply, &sealed.nonce, Strings::Text).unwrap_err();
    assert_eq!(error, ReplyError::Answer { answer: "Routing error".into() });
    assert!(!error.needs_auth() && error.is_retryable());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let session = fixture::accepted(&fixture::settings(), &fixture::shared()).session;
        let nonce = Nonce::generate(&mut thread_rng());
        prop_assert!(session.open(&bytes, &nonce, Strings::Text).is_err());
    }
}
