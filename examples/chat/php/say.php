<?php
// What a browser asks for: the page's files, GET /where and POST /say. Messages go to hasses through its
// named pipe, as JSON lines.

const MOST_TEXT = 3000; // bytes of UTF-8
const MOST_LINE = 4096; // bytes that many writers can write at once without mixing (pipe(7), PIPE_BUF)

/** Why a request is not done: an HTTP status and a text for people. */
final class Refusal extends Exception
{
}

/** A string's length in characters; 0 if it is no UTF-8. */
function length(string $text): int
{
    return preg_match_all('/./us', $text);
}

/** The line for hasses; without a text it tells the others that somebody types. */
function line(string $body): string
{
    $said = json_decode($body, true, 8);
    if (!is_array($said)) {
        throw new Refusal('this is no JSON in UTF-8', 400);
    }
    foreach (['room', 'id', 'name'] as $key) {
        $data[$key] = is_string($said[$key] ?? null) ? $said[$key] : '';
    }
    if (!preg_match('/^[\p{L}\p{N}_-]{1,32}$/Du', $data['room'])) {
        throw new Refusal("a room's name is 1 to 32 letters, digits, - and _", 400);
    }
    if (!preg_match('/^[\p{L}\p{N}_-]{1,64}$/Du', $data['id'])) {
        throw new Refusal('the id is missing or wrong', 400);
    }
    if (!preg_match('/\S/u', $data['name']) || length($data['name']) > 40 || preg_match('/\p{Cc}/u', $data['name'])) {
        throw new Refusal('a name is 1 to 40 characters, on one line', 400);
    }
    $message = ['to' => 'chat:' . $data['room']];
    if (isset($said['text'])) {
        $text = is_string($said['text']) ? $said['text'] : '';
        if (!preg_match('/\S/u', $text)) {
            throw new Refusal('the message is empty', 400);
        }
        if (strlen($text) > MOST_TEXT) {
            throw new Refusal('the message is too long: 3000 bytes are the most', 413);
        }
        if (preg_match('/[^\P{Cc}\n\t]/u', $text)) {
            throw new Refusal('the message holds control characters', 400);
        }
        $data['text'] = $text;
    } else {
        // It is told to all others in the room, and not kept.
        $message += ['event' => 'typing', 'except' => $data['id'], 'retain' => false];
    }
    $as_is = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR;
    $message['data'] = json_encode($data, $as_is);
    return json_encode($message, $as_is) . "\n";
}

/** Writes the line into the pipe, in one piece. */
function publish(string $line): void
{
    if (strlen($line) > MOST_LINE) {
        throw new Refusal('the message is too long: a line of ' . MOST_LINE . ' bytes goes through the pipe', 413);
    }
    $path = getenv('HASSES_FIFO');
    // `n` (O_NONBLOCK) fails at once where nobody reads, instead of waiting for a reader.
    $fifo = @filetype($path) === 'fifo' ? @fopen($path, 'wn') : false;
    // To a full pipe nothing is written, as the line goes in whole or not at all.
    if (!$fifo || @fwrite($fifo, $line) !== strlen($line)) {
        throw new Refusal('hasses cannot be reached', 503);
    }
    fclose($fifo);
}

function say(): array
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        throw new Refusal('this is not done here', 405);
    }
    // A page of another site can send a form here, but no JSON.
    if (!preg_match('#^application/json\s*(;|$)#i', $_SERVER['CONTENT_TYPE'] ?? '')) {
        throw new Refusal('this is not application/json', 415);
    }
    $body = file_get_contents('php://input', length: 16385);
    if (strlen($body) > 16384) {
        throw new Refusal('this is too long', 413);
    }
    publish(line($body));
    return [];
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path !== '/say' && $path !== '/where') {
    return false; // PHP's own server sends the page's files.
}
header('Content-Type: application/json');
try {
    $answer = $path === '/say' ? say() : ['port' => (int) getenv('HASSES_PORT')];
} catch (Refusal $refusal) {
    http_response_code($refusal->getCode());
    $answer = ['error' => $refusal->getMessage()];
}
echo json_encode((object) $answer);
