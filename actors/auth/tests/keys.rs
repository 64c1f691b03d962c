use jsonwebtoken::Algorithm;

use super::*;

/// Keys that are none here: RSA of 1024 bits, and P-521.
const WEAK: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCiKMoUq/90wdzSs2AeSRAhJn8z
6wYby+ZQW2Scdp8nGuVJxbNHgPKclifnMr2fiQER9xUBlG8XQXo07jUJdAsj8/qe
htNjbGe5KazZLej4ebxSPzs0D9nbAiVE6Qj3lqzU1rTNoDb80+byajYQjb+uSjpW
uk566GTJtc5OeXgWCQIDAQAB
-----END PUBLIC KEY-----
";
const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQADGaxq/p1CoqPDuUj43WbCIZQuhm0
2jXN/hIwduIEQRxt7IRr9AmYVqDjQ6YSveR19TmWanKcp+vLnoy/5sKz+XQA5DnE
8K4Dp1B+4reaAA9SA/Mw3YUCrpWI9X6XSb3Wf2XP4akF8or0T1+eFXBcpEp8cH29
sq12ji6BmzS9y4hISlE=
-----END PUBLIC KEY-----
";
/// The signed part of the examples in RFC 7515 A.1 to A.3, after the header.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RS256: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const ES256: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[test]
fn the_examples_of_the_rfcs() {
    let binary = URL_SAFE_NO_PAD.decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    );
    let hs256 = Keys::read(&binary.unwrap()).unwrap();
    let verify = |keys: &Keys, token: &str| jwt::verify(keys, token, &mut 16).map(drop);
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    assert_eq!(verify(&hs256, &token), Ok(()));
    assert_eq!(
        verify(&keys(RSA), &format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{RS256}")),
        Ok(())
    );
    assert_eq!(
        verify(&keys(P256), &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{ES256}")),
        Ok(())
    );
    // RFC 8037 A.4 signs what is no JSON.
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(
        jsonwebtoken::crypto::verify(
            signature,
            message.as_bytes(),
            &Key::read(ED25519.as_bytes()).unwrap().jwt,
            Algorithm::EdDSA
        ),
        Ok(true)
    );
    // RFC 7515 A.5, unsecured.
    let unsecured = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    for keys in [&hs256, &keys(RSA), &keys(P256), &keys(ED25519)] {
        let refused = verify(keys, &unsecured).unwrap_err();
        assert!(
            refused.reason.contains("\"none\" is not allowed"),
            "{refused}"
        );
    }
    // They expired in 2011.
    let subscription = Subscription::default();
    let claims = jwt::verify(&hs256, &token, &mut 1).unwrap();
    refused(
        claims.check(&subscription, now()),
        401,
        "expired 6934 days ago",
    );
    let just_before = Duration::from_millis(1_300_819_379_999);
    assert!(claims.check(&subscription, just_before).is_ok());
}

#[test]
fn a_file_holds_a_secret_or_a_public_key() {
    for (content, algorithms) in [
        ("x", "HS256, HS384, HS512"),
        (RSA, "RS256, RS384, RS512, PS256, PS384, PS512"),
        (P256, "ES256"),
        (ED25519, "EdDSA"),
    ] {
        assert_eq!(keys(content).algorithms(), algorithms);
        let shown = format!("Keys {{ keys: [Key({algorithms})] }}");
        assert_eq!(format!("{:?}", keys(content)), shown);
    }
    let private = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    for (content, error) in [
        ("", KeyError::Empty),
        ("\n", KeyError::Empty),
        ("\r\n", KeyError::Empty),
        (WEAK, KeyError::RsaBits(1024)),
        (P521, KeyError::Unknown),
        (private, KeyError::Private),
        (&private.replace("EC ", ""), KeyError::Private),
        (&format!("{P256}{private}"), KeyError::Private),
        (
            &private.replace("EC PRIVATE KEY", "CERTIFICATE"),
            KeyError::NoKey,
        ),
        (&private.replace("EC PRIVATE", "PUBLIC"), KeyError::Unknown),
        (&format!("{P256}{RSA}"), KeyError::NoKey),
        ("-----BEGIN PUBLIC KEY-----\n", KeyError::Pem),
    ] {
        assert_eq!(
            Keys::read(content.as_bytes()).err(),
            Some(error),
            "{content}"
        );
    }
    assert!(
        KeyError::Private
            .to_string()
            .contains("public key is needed")
    );
    let has_short = |content| keys(content).has_short();
    assert!(has_short(&SECRET[1..]) && !has_short(SECRET) && !has_short(RSA));
}

/// The keys of RFC 7515 A.2 and A.3 and RFC 8037 A.2 as a JWK Set, with some that check nothing here.
fn set() -> String {
    let rsa = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    format!(
        r#"{{"keys":[
            {{"kty":"RSA","kid":"r","use":"sig","n":"{rsa}","e":"AQAB"}},
            {{"kty":"EC","kid":"e","crv":"P-256","alg":"ES256","key_ops":["verify"],
              "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}},
            {{"kty":"OKP","kid":"o","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}},
            {{"kty":"RSA","use":"enc","n":"{rsa}","e":"AQAB"}},
            {{"kty":"RSA","alg":"RSA-OAEP","n":"{rsa}","e":"AQAB"}},
            {{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}},
            {{"kty":"EC","crv":"P-384","key_ops":["deriveKey"]}},
            {{"kty":"new","z":1}}
        ]}}"#
    )
}

#[test]
fn a_jwk_set_gives_all_its_keys_by_their_names() {
    let set = keys(&set());
    assert_eq!(
        set.algorithms(),
        "RS256, RS384, RS512, PS256, PS384, PS512, ES256, EdDSA"
    );
    assert!(!set.has_secret());
    let verify = |keys: &Keys, token: &str| jwt::verify(keys, token, &mut 16).map(drop);
    for token in [
        format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{RS256}"),
        format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{ES256}"),
    ] {
        assert_eq!(verify(&set, &token), Ok(()));
    }

    let oct = |kid: &str, secret: &str| {
        format!(
            r#"{{"kty":"oct","kid":"{kid}","k":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(secret)
        )
    };
    let old = "an old secret of more than 32 bytes";
    let two = keys(&format!(
        r#"{{"keys":[{},{}]}}"#,
        oct("new", SECRET),
        oct("old", old)
    ));
    let named = |kid: &str, secret: &str| {
        raw(
            &format!(r#"{{"alg":"HS256"{kid}}}"#),
            r#"{"subscribe":["*"]}"#,
            secret,
        )
    };
    for (kid, secret, told) in [
        (r#","kid":"new""#, SECRET, None),
        (r#","kid":"old""#, old, None),
        ("", SECRET, None),
        ("", old, None),
        (r#","kid":"new""#, old, Some("signature is wrong")),
        (
            r#","kid":"other""#,
            old,
            Some("names none of this server's keys"),
        ),
        ("", "another", Some("signature is wrong")),
    ] {
        let result = verify(&two, &named(kid, secret));
        match told {
            None => assert_eq!(result, Ok(()), "{kid} {secret}"),
            Some(told) => {
                let refused = result.unwrap_err();
                assert!(refused.reason.contains(told), "{refused}");
            }
        }
    }
    // A key without a name may be any; several files hold together.
    let mut both = keys(SECRET);
    both.extend(keys(old));
    for secret in [SECRET, old] {
        assert_eq!(verify(&both, &named(r#","kid":"x""#, secret)), Ok(()));
        let url = signed::sign(&keys(secret), "subscribe=a", NOW + 1).unwrap();
        assert!(signed::check(&both, &url, now()).is_ok());
    }
    assert!(keys(&oct("a", SECRET)).starts_with_secret());
    assert!(keys(&oct("a", "short")).has_short());
}

#[test]
fn a_broken_jwk_set_is_never_a_secret() {
    let n = "r".repeat(100);
    for (content, error) in [
        (r#"{"keys":[]}"#, KeyError::EmptySet),
        (r#"{"keys":7}"#, KeyError::EmptySet),
        (r#"{"keys":[{"kty":"new"}]}"#, KeyError::EmptySet),
        (r#"{"keys":[7]}"#, KeyError::Jwk(1)),
        (r#"{"kty":7}"#, KeyError::Jwk(1)),
        (
            r#"{"keys":[{"kty":"new"},{"kty":"oct"}]}"#,
            KeyError::Jwk(2),
        ),
        (r#"{"kty":"oct","k":"a b"}"#, KeyError::Jwk(1)),
        (
            r#"{"kty":"oct","k":"AAAA","alg":"RS256"}"#,
            KeyError::Jwk(1),
        ),
        (r#"{"kty":"RSA","e":"AQAB"}"#, KeyError::Jwk(1)),
        (
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#,
            KeyError::Jwk(1),
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
            KeyError::Jwk(1),
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}"#,
            KeyError::Private,
        ),
        (
            &format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#),
            KeyError::RsaBits(600),
        ),
    ] {
        assert_eq!(
            Keys::read(content.as_bytes()).err(),
            Some(error),
            "{content}"
        );
    }
    // Other text in braces is a secret as any.
    assert!(keys(r#"{"a":1}"#).has_secret() && keys("{").has_secret());
}
