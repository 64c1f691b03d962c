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
    let hs256 = Key::read(&binary.unwrap()).unwrap();
    let verify = |key: &Key, token: &str| jwt::verify(key, token).map(drop);
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    assert_eq!(verify(&hs256, &token), Ok(()));
    assert_eq!(
        verify(&key(RSA), &format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{RS256}")),
        Ok(())
    );
    assert_eq!(
        verify(&key(P256), &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{ES256}")),
        Ok(())
    );
    // RFC 8037 A.4 signs what is no JSON.
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = URL_SAFE_NO_PAD
        .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
        .unwrap();
    assert_eq!(
        key(ED25519).verify("EdDSA", message.as_bytes(), &signature),
        Ok(())
    );
    // RFC 7515 A.5, unsecured.
    let unsecured = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    for key in [&hs256, &key(RSA), &key(P256), &key(ED25519)] {
        let refused = verify(key, &unsecured).unwrap_err();
        assert!(
            refused.reason.contains("\"none\" is not allowed"),
            "{refused}"
        );
    }
    // They expired in 2011.
    let subscription = Subscription::default();
    let claims = jwt::verify(&hs256, &token).unwrap();
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
        assert_eq!(key(content).algorithms(), algorithms);
        assert_eq!(format!("{:?}", key(content)), format!("Key({algorithms})"));
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
            Key::read(content.as_bytes()).err(),
            Some(error),
            "{content}"
        );
    }
    assert!(
        KeyError::Private
            .to_string()
            .contains("public key is needed")
    );
    assert!(key(&SECRET[1..]).is_short() && !key(SECRET).is_short() && !key(RSA).is_short());
}
