// Runs the cases against any hub:
//
//   node run.mjs --url https://localhost/.well-known/mercure --key '!ChangeThisMercureHubJWTSecretKey!' \
//     [--audience URL] [--issuer URL] [--only PART-OF-A-NAME] [--versions 7,8]
//
// The hub must let anonymous subscribers in, have subscriptions on, take tokens signed with the key (HS256) from
// publishers and subscribers, trust the issuer (default: the origin of the audience), and allow the issuer's
// origin to send credentials. Each case is one line: ok or not ok, its name, and what was wrong.
import { parseArgs } from 'node:util'
import { Hub } from './hub.mjs'
import { eight } from './eight.mjs'
import { seven } from './seven.mjs'

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    key: { type: 'string' },
    audience: { type: 'string' },
    issuer: { type: 'string' },
    only: { type: 'string', default: '' },
    versions: { type: 'string', default: '7,8' },
  },
})
const audience = values.audience ?? values.url
const hub = new Hub({ url: values.url, key: values.key, audience, issuer: values.issuer ?? new URL(audience).origin })
const versions = values.versions.split(',')
const cases = [...(versions.includes('8') ? eight : []), ...(versions.includes('7') ? seven : [])]
const wanted = cases.filter(([name]) => name.includes(values.only))
let failed = 0
// Some at a time: a hub may bound the connections of one address.
const queue = [...wanted]
await Promise.all(
  Array.from({ length: 8 }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [name, run] = next
      try {
        await run(hub)
        console.log(`ok ${name}`)
      } catch (error) {
        failed += 1
        console.log(`not ok ${name}: ${error.message.replaceAll('\n', ' ')}`)
      }
    }
  }),
)
hub.close()
console.log(`${wanted.length - failed} of ${wanted.length} cases passed`)
process.exit(failed ? 1 : 0)
