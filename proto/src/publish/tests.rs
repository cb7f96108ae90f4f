use proptest::prelude::*;
use rand::thread_rng;

use super::*;
use crate::fixture::{master_key, other_key, public};

fn job() -> Map {
    let mut job: Map = [("fun", "test.ping"), ("jid", "20240102030405000006"), ("tgt", "*")].into();
    job.insert("tgt_type", "glob");
    job.insert("arg", Value::List(vec![]));
    job
}

fn ends() -> (PublishWriter, PublishReader) {
    let aes = Crypticle::generate(&mut thread_rng());
    let reader = PublishReader::new(aes.clone(), public(&master_key()), UnsignedPublishes::Refuse);
    (PublishWriter::new(aes, SigningAlgorithm::default()), reader)
}

fn seal(writer: &mut PublishWriter, load: Map) -> Vec<u8> {
    writer.seal(load, &master_key(), &mut thread_rng()).unwrap()
}

#[test]
fn a_job_arrives_as_it_was_published() {
    let (mut writer, mut reader) = ends();
    let publish = reader.open(&seal(&mut writer, job())).unwrap();
    assert_eq!(publish.jid.as_str(), "20240102030405000006");
    assert_eq!(publish.calls, Calls::One(Call { fun: "test.ping".into(), arg: vec![] }));
    assert_eq!((publish.tgt.as_str(), publish.tgt_type.as_str()), (Some("*"), "glob"));
    assert_eq!(publish.load, job());
}

#[test]
fn rejects_publish_with_stale_serial() {
    let (mut writer, mut reader) = ends();
    let first = seal(&mut writer, job());
    let second = seal(&mut writer, job());
    reader.open(&second).unwrap();
    assert_eq!(reader.open(&second), Err(PublishError::Stale { serial: 2, last: 2 }));
    assert_eq!(reader.open(&first), Err(PublishError::Stale { serial: 1, last: 2 }));
    reader.open(&seal(&mut writer, job())).unwrap();
}

#[test]
fn rejects_publish_with_foreign_signature() {
    let (mut writer, mut reader) = ends();
    let foreign = writer.seal(job(), &other_key(), &mut thread_rng()).unwrap();
    assert_eq!(reader.open(&foreign), Err(PublishError::Signature));
}

#[test]
fn a_rotated_key_asks_for_authentication() {
    let (_, mut reader) = ends();
    let (mut rotated, _) = ends();
    let error = reader.open(&seal(&mut rotated, job())).unwrap_err();
    assert_eq!(error, PublishError::Sealed(CrypticleError::Hmac));
    assert!(error.needs_auth());
}

#[test]
fn an_unsigned_publish_is_taken_only_when_allowed() {
    let (mut writer, mut reader) = ends();
    let mut envelope = Envelope::decode(&seal(&mut writer, job())).unwrap();
    envelope.rest.remove("sig");
    assert_eq!(reader.open(&envelope.encode()), Err(PublishError::Unsigned));
    reader.unsigned = UnsignedPublishes::Take;
    reader.open(&envelope.encode()).unwrap();
}

#[test]
fn rejects_publish_that_is_not_encrypted() {
    let (_, mut reader) = ends();
    let error = reader.open(&Envelope::clear(job()).encode()).unwrap_err();
    assert_eq!(error, PublishError::Enc { enc: "clear".into() });
}

#[test]
fn rejects_publish_without_a_field_that_jobs_need() {
    for field in ["tgt", "jid", "fun", "arg"] {
        let (mut writer, mut reader) = ends();
        let mut job = job();
        job.remove(field);
        assert_eq!(reader.open(&seal(&mut writer, job)), Err(PublishError::Field { field }));
    }
}

#[test]
fn several_functions_each_keep_their_arguments() {
    let mut job = job();
    job.insert("fun", Value::from_iter(["test.ping", "test.arg"]));
    job.insert("arg", Value::List(vec![Value::List(vec![]), Value::from_iter([1, 2])]));
    let Calls::Many(calls) = PublishLoad::from_map(job).unwrap().calls else { panic!("one call") };
    assert_eq!(calls[1], Call { fun: "test.arg".into(), arg: vec![1.into(), 2.into()] });
}

#[test]
fn keyword_arguments_are_told_from_maps() {
    let mut kwargs: Map = [("__kwarg__", true)].into();
    kwargs.insert("x", 1);
    let plain: Map = [("y", 2)].into();
    let call = Call { fun: "test.arg".into(), arg: vec![plain.clone().into(), kwargs.into()] };
    assert_eq!(call.arguments(), (vec![plain.into()], [("x", 1)].into()));
}

#[test]
fn a_topic_is_the_digest_of_the_id() {
    // `hashlib.sha1(b"minion1").hexdigest()`
    let id = MinionId::parse("minion1").unwrap();
    assert_eq!(topic(&id), "3a6368820dfef5cb63f445da216ea8ca511a97b4");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, mut reader) = ends();
        prop_assert!(reader.open(&bytes).is_err());
    }
}
