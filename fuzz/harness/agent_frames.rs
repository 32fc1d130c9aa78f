//! The frames of the agent protocol, from any bytes: nothing panics, a frame takes no byte of the
//! next, and what was parsed can be written again.

use std::fmt::Debug;

use agent_proto::{Call, Opened, Opening, Reply, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

/// One input.
pub fn run(bytes: &[u8]) {
    each::<Opening>(bytes);
    each::<Opened>(bytes);
    each::<Call>(bytes);
    each::<Reply>(bytes);
}

fn each<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(Some((value, taken))) = decode::<T>(bytes) else { return };
    assert!(taken <= bytes.len());
    let alone = decode::<T>(&bytes[..taken]).expect("it was understood");
    assert_eq!(
        alone.map(|(value, _)| value).as_ref(),
        Some(&value),
        "what follows a frame does not change it"
    );
    assert!(
        decode::<T>(&bytes[..taken - 1]).expect("it is awaited").is_none(),
        "a frame without its last byte is none"
    );
    // Written again, a frame may have another length.
    if let Ok(said) = encode(&value) {
        assert_eq!(decode::<T>(&said).expect("our own words"), Some((value, said.len())));
    }
}
