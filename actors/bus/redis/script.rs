//! What Redis does for us in one step each: scripts in its own language, sent by their hash.
//!
//! All of them see the newest id that the stream ever had, which trimming leaves alone, as the stream
//! itself says it: no second key could be lost, or evicted, apart from it. A group of consumers begins
//! there; XINFO STREAM, which says it too, gives whole entries with it, and text that a script gets is
//! dear: 2.6 ms for two of a megabyte. The group is for the script alone, and not replicated.

use ::redis::Script;

/// The newest id, or none where there is no stream; an id's digits; the time; the first even number from
/// one on, as an id that no node gives out alone; trimming by the first two of ARGV.
///
/// An entry whose id is more than a day ahead of the time was not written by hasses, and nothing could be
/// added behind it: it is taken away, and the stream set back to its newest entry.
const NEWEST: &str = "
local function digits(number) return string.format('%.0f', number) end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
local function last_given()
  redis.set_repl(redis.REPL_NONE)
  redis.call('XGROUP', 'CREATE', KEYS[1], 'newest', '$')
  local group = redis.call('XINFO', 'GROUPS', KEYS[1])[1]
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'newest')
  redis.set_repl(redis.REPL_ALL)
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then return tonumber(string.match(group[i + 1], '^%d+')) end
  end
end
local function newest()
  if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
  local last, latest = last_given(), now() + 86400000000
  if last <= latest then return last end
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], digits(latest), '+')) do
    redis.call('XDEL', KEYS[1], entry[1])
  end
  local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  redis.call('XSETID', KEYS[1], top and top[1] or digits(now()) .. '-0')
  return last_given()
end
local function even(number) return number + number % 2 end
local function trim()
  local from = math.max(tonumber(ARGV[1]), now() - ARGV[2])
  redis.call('XTRIM', KEYS[1], 'MINID', '~', digits(from))
end
";

/// KEYS: the stream. ARGV: the id from which on entries are kept and the microseconds for which they
/// are, the newest id that this node has read, the newest that it has given out by itself; then for
/// each entry the id that it has already, or 0, the number of its items, and its body.
///
/// Gives the items of each entry their ids, even ones after each other: those that they have if nobody
/// has added anything that the node has not read, else from the time on, or from the next behind the
/// newest id. Answers with the newest id; or with -1 if the stream has gone back behind what the node has
/// read, and nothing is added.
const ADD: &str = "
local last = newest()
if not last or last < tonumber(ARGV[3]) then return -1 end
local alone = last == tonumber(ARGV[3])
local floor, time = math.max(last, tonumber(ARGV[4])), now()
for i = 5, #ARGV, 3 do
  local id, more = tonumber(ARGV[i]), 2 * (ARGV[i + 1] - 1)
  if not alone or id - more <= last then id = even(math.max(time, floor + 1)) + more end
  redis.call('XADD', KEYS[1], digits(id) .. '-0', 'p', digits(last), 'b', ARGV[i + 2])
  last = id
  floor = math.max(floor, id)
end
trim()
return last
";

/// KEYS: the stream. ARGV: for each entry its id, the id before it, and its body; ids grow.
///
/// Adds again what the stream has lost: entries that are newer than all there are. Of several nodes
/// that hold the same, the first adds it, and for the others it is there. Answers with the newest id,
/// or -1 if there is no stream.
const RESTORE: &str = "
local last = newest()
for i = 1, #ARGV, 3 do
  local id = tonumber(ARGV[i])
  if not last or id > last then
    redis.call('XADD', KEYS[1], ARGV[i] .. '-0', 'p', ARGV[i + 1], 'b', ARGV[i + 2])
    last = id
  end
end
return last or -1
";

/// KEYS: the stream. ARGV: the newest id that this node has given out or read, and a gap marker's body.
///
/// Adds a gap marker, newer than everything; where there is no stream, it begins one. Answers with its id.
const GAP_MARKER: &str = "
local last = newest()
local id = even(math.max(now(), (last or 0) + 1, ARGV[1] + 1))
redis.call('XADD', KEYS[1], digits(id) .. '-0', 'p', digits(last or id), 'b', ARGV[2])
return id
";

/// KEYS: the stream, the nodes. ARGV: what is kept, as above, the newest id that this node has read,
/// the node, its clients, microseconds after which a silent node counts as dead, whether the node is
/// joining (1 or 0), the node's residue of the ids, how many residues there are, which run of Redis this is,
/// the newest version of entries that the node knows, and how far it is: 0, it comes back, 1, it is new, 2, it
/// has joined.
///
/// Says that this node lives, and that it is with this run of Redis, unless the stream is behind what the
/// node has read. If the stream is behind, or the node comes back, all other nodes are marked as not
/// rejoined. The script writes, so a Redis that takes no writes is found out. Dead nodes are forgotten by one
/// that has joined; one that is new is told of those that were with another run.
///
/// Answers with the newest id or -1; if the node is joining, with the oldest id that is kept or -1, and
/// whether the stream has what the node has read last; with which nodes there are, which of them are with
/// this run and as far as this one, how many clients the others have, the node's residue: another than before
/// if that is taken, and the newest version that all nodes know.
const HEARTBEAT: &str = "
local time, all = now(), redis.call('HGETALL', KEYS[2])
local last, first, has = newest(), -1, 0
local behind = not last or last < tonumber(ARGV[3])
local stage = tonumber(ARGV[12])
local anew = behind or ARGV[7] == '1' and stage == 0
local nodes, with, clients, taken, dead = {ARGV[4]}, {}, 0, {}, {}
local version = tonumber(ARGV[11])
if not behind then table.insert(with, ARGV[4]) end
local function note(node, ...)
  redis.call('HSET', KEYS[2], node, table.concat({...}, ' '))
end
for i = 1, #all, 2 do
  local seen, count, residue, run, knows, far =
    string.match(all[i + 1], '^(%d+) (%d+) (%d+) ([%w-]+) (%d+) ?(%d*)')
  if all[i] ~= ARGV[4] then
    if not seen or time - seen > tonumber(ARGV[6]) then
      if stage == 2 or not seen then
        table.insert(dead, all[i])
      elseif stage == 1 and run ~= ARGV[10] then
        table.insert(nodes, all[i])
      end
    else
      clients, taken[tonumber(residue)] = clients + count, true
      table.insert(nodes, all[i])
      version = math.min(version, knows)
      if anew then
        note(all[i], seen, count, residue, '-', knows, far)
      elseif run == ARGV[10] and (tonumber(far) or 2) >= stage then
        table.insert(with, all[i])
      end
    end
  end
end
local residue, residues = tonumber(ARGV[8]), tonumber(ARGV[9])
for _ = 1, residues do
  if not taken[residue] then break end
  residue = (residue + 1) % residues
end
-- Before what is not refused: where there is no memory left this is.
note(ARGV[4], digits(time), ARGV[5], residue, behind and '-' or ARGV[10], ARGV[11], stage)
for _, node in ipairs(dead) do redis.call('HDEL', KEYS[2], node) end
if last then
  trim()
end
if last and ARGV[7] == '1' then
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if oldest then first = tonumber(string.match(oldest[1], '^%d+')) end
  has = #redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])
end
return {last or -1, first, has, nodes, with, clients, residue, version}
";

/// KEYS: the stream. Takes away what stands too far ahead. Answers with the newest id, or -1.
const CLEAN: &str = "
return newest() or -1
";

/// KEYS: the nodes. ARGV: this node, microseconds after which a silent one counts as dead, what the names
/// of nodes' channels begin with, and what is to be told.
///
/// Tells all other nodes something. Answers with how many nodes there are, this one included, and how many
/// of the others listen.
const ASK: &str = "
local time, nodes, told = now(), 1, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local seen = string.match(all[i + 1], '^%d+')
  if all[i] ~= ARGV[1] and seen and time - seen <= tonumber(ARGV[2]) then
    nodes = nodes + 1
    told = told + math.min(redis.call('PUBLISH', ARGV[3] .. all[i], ARGV[4]), 1)
  end
end
return {nodes, told}
";

/// All scripts, with their hashes.
pub(in crate::bus) struct Scripts {
    pub(super) add: Script,
    pub(super) restore: Script,
    pub(super) gap_marker: Script,
    pub(super) heartbeat: Script,
    pub(super) ask: Script,
    pub(super) clean: Script,
}

impl Scripts {
    pub(in crate::bus) fn new() -> Self {
        let script = |text| Script::new(&format!("{NEWEST}{text}"));
        Self {
            add: script(ADD),
            restore: script(RESTORE),
            gap_marker: script(GAP_MARKER),
            heartbeat: script(HEARTBEAT),
            ask: script(ASK),
            clean: script(CLEAN),
        }
    }
}
