// Makes keys and JWTs with Node's own cryptography: nothing in it is shared with hasses.
//   node maker.mjs keys DIR          a pair of each kind: DIR/KIND.pem, DIR/KIND.pub.pem
//   node maker.mjs jwts JSON         one JWT a line, of [{alg, key, claims, header}, …]; `key` is a file
import { createHmac, createPrivateKey, generateKeyPairSync, sign, constants } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const base64url = (text) => Buffer.from(text).toString('base64url');

function signature(alg, key, message) {
  const hash = `sha${alg.slice(2)}`;
  switch (alg.slice(0, 2)) {
    case 'HS': return createHmac(hash, key).update(message).digest();
    case 'RS': return sign(hash, message, createPrivateKey(key));
    case 'PS': return sign(hash, message, {
      key: createPrivateKey(key),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    });
    case 'ES': return sign(hash, message, { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' });
    case 'Ed': return sign(null, message, createPrivateKey(key));
    default: return Buffer.alloc(0);
  }
}

const [what, about] = process.argv.slice(2);
if (what === 'keys') {
  const kinds = {
    rsa: ['rsa', { modulusLength: 2048 }],
    p256: ['ec', { namedCurve: 'P-256' }],
    p384: ['ec', { namedCurve: 'P-384' }],
    ed25519: ['ed25519', {}],
  };
  for (const [name, [type, options]] of Object.entries(kinds)) {
    const { publicKey, privateKey } = generateKeyPairSync(type, options);
    const write = (file, key, form) => writeFileSync(`${about}/${file}`, key.export({ type: form, format: 'pem' }));
    write(`${name}.pem`, privateKey, 'pkcs8');
    write(`${name}.pub.pem`, publicKey, 'spki');
    if (type === 'rsa') write('pkcs1.pub.pem', publicKey, 'pkcs1');
  }
} else {
  for (const { alg, key, claims, header } of JSON.parse(about)) {
    const message = `${base64url(JSON.stringify(header ?? { typ: 'JWT', alg }))}.${base64url(claims)}`;
    const made = signature(alg, readFileSync(key), Buffer.from(message));
    console.log(`${message}.${made.toString('base64url')}`);
  }
}
