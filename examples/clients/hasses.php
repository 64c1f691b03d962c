<?php

declare(strict_types=1);

/**
 * hasses from PHP 7.4 or later: publishing, signed queries, JWTs, presence. Nothing else is needed; copy this file.
 *
 *     $hasses = new Hasses('http://127.0.0.1:8085');        // or https://…, unix:/run/hasses/control.sock,
 *     $hasses->publish('room1', ['text' => 'hello']);        // tcp:127.0.0.1:8085, fifo:/run/hasses/in
 *     $query = Hasses::sign(['room1'], Hasses::key('/etc/hasses/secret'), 60);
 *
 * No call takes longer than the time-out (2 seconds if nothing is said; looking up a host's name aside), whatever
 * hasses does, so a web request never hangs. What goes wrong is a HassesException. Its code is that of HTTP where hasses
 * refused the message; with the code 0 it is not confirmed, and may be published all the same: try again with a `key`.
 */
final class HassesException extends RuntimeException
{
}

final class Hasses
{
    /** Bytes that are written into a pipe in one piece, however many write at once (pipe(7), PIPE_BUF). */
    private const PIPE_BUF = 4096;

    private string $kind, $path, $prefix = '', $host = 'localhost';
    private int $port = 0;
    private ?string $secret;
    private float $timeout;

    /** @param ?string $secret that of --control-secret */
    public function __construct(string $address = 'http://127.0.0.1:8085', ?string $secret = null, float $timeout = 2.0)
    {
        [$this->kind, $this->path] = explode(':', $address, 2) + [1 => ''];
        $this->secret = $secret;
        $this->timeout = $timeout;
        if (in_array($this->kind, ['http', 'https', 'tcp'], true)) {
            $url = parse_url(strpos($address, '//') === false ? "$this->kind://$this->path" : $address);
            $ports = ['http' => 80, 'https' => 443, 'tcp' => 8085];
            $this->host = $url['host'] ?? '127.0.0.1';
            $this->port = $url['port'] ?? $ports[$this->kind];
            $this->prefix = rtrim($url['path'] ?? '', '/');
        } elseif ($this->kind !== 'unix' && $this->kind !== 'fifo') {
            throw new HassesException("$address is no address: it begins with http:, https:, unix:, tcp: or fifo:");
        }
    }

    /**
     * Publishes one message.
     *
     * @param string|string[] $to   a token, `prefix*`, `*`, or several
     * @param mixed           $data what is no string is sent as JSON
     * @param array{event?: string, except?: string, retain?: bool, private?: bool, key?: string} $more `except`: the id of
     *     a client that does not get it; `retain` false: it is not kept for replay; with a `key` it is published once,
     *     however often it is sent within five minutes, so a connection that failed is tried once more
     *
     * @return array{id?: int, recipients?: int, repeated?: bool} empty through a pipe
     */
    public function publish($to, $data, array $more = []): array
    {
        return $this->publishMany([self::message($to, $data, $more)])[0];
    }

    /** A message for publishMany, of the same parameters. */
    public static function message($to, $data, array $more = []): array
    {
        return ['to' => $to, 'data' => is_string($data) ? $data : self::json($data)] + $more;
    }

    /**
     * Publishes several messages: all or none of them (over tcp: and fifo: each for itself).
     *
     * @param array<int, array<string, mixed>> $messages
     *
     * @return array<int, array<string, mixed>>
     */
    public function publishMany(array $messages): array
    {
        $deadline = microtime(true) + $this->timeout;
        if ($this->kind === 'fifo') {
            foreach ($messages as $message) {
                $this->writeFifo(self::json($message) . "\n", $deadline);
            }
            return array_fill(0, count($messages), []);
        }
        $again = count(array_column($messages, 'key')) === count($messages);
        try {
            return $this->send($messages, $again ? $deadline - $this->timeout / 2 : $deadline);
        } catch (HassesException $error) {
            if ($error->getCode() || !$again) {
                throw $error;
            }
            return $this->send($messages, $deadline);
        }
    }

    /** Who listens to a token: `members` (each with `id`, `info`, `streams`, `since`), `anonymous`, `position`. */
    public function members(string $token): array
    {
        $path = '/presence/' . rawurlencode($token);
        $members = [];
        do {
            [$answer, $head] = $this->ask('GET', $path, '', microtime(true) + $this->timeout);
            $members = array_merge($members, $answer['members']);
            $more = preg_match('/^link: *<([^>]+)>; *rel="?next/im', $head, $link);
            $path = $link[1] ?? '';
        } while ($more);
        return ['members' => $members] + $answer;
    }

    /** The content of a key's file, less the newline at its end. */
    public static function key(string $file): string
    {
        $key = @file_get_contents($file);
        $key = $key === false ? '' : preg_replace('/\n\z/', '', $key);
        if ($key === '') {
            throw new HassesException("$file cannot be read, or is empty");
        }
        return $key;
    }

    /**
     * A signed query for these tokens.
     *
     * @param string[] $tokens
     * @param array{id?: string, info?: mixed, presence?: bool, until?: bool} $more `until`: the stream ends with it
     */
    public static function sign(array $tokens, string $key, int $seconds = 60, array $more = []): string
    {
        $parts = array_map(fn (string $token): string => $token === '*' ? 'subscribe=*' : 'token=' . rawurlencode($token), $tokens);
        $parts[] = isset($more['id']) ? 'id=' . rawurlencode($more['id']) : '';
        $parts[] = isset($more['info']) ? 'info=' . rawurlencode(self::json($more['info'])) : '';
        $parts[] = ($more['presence'] ?? false) ? 'presence=1' : '';
        $parts[] = ($more['until'] ?? false) ? 'until=1' : '';
        $parts[] = 'expires=' . (time() + $seconds);
        $query = implode('&', array_filter($parts));
        return "$query&sign=" . hash_hmac('sha256', $query, $key);
    }

    /**
     * A JWT (HS256) for these tokens; `room_*` is a prefix. For the cookie `hasses`, or `auth=` in the query.
     *
     * @param string[] $tokens
     * @param array{id?: string, info?: mixed, presence?: bool} $more
     */
    public static function jwt(array $tokens, string $key, int $seconds = 3600, array $more = []): string
    {
        $claims = ['subscribe' => array_values($tokens), 'iat' => time(), 'exp' => time() + $seconds] + $more;
        $encode = fn (string $raw): string => rtrim(strtr(base64_encode($raw), '+/', '-_'), '=');
        $text = $encode('{"alg":"HS256","typ":"JWT"}') . '.' . $encode(self::json($claims));
        return $text . '.' . $encode(hash_hmac('sha256', $text, $key, true));
    }

    private static function json($value): string
    {
        return json_encode($value, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
    }

    private function send(array $messages, float $deadline): array
    {
        if ($this->kind !== 'tcp') {
            return $this->ask('POST', '/publish', self::json($messages), $deadline)[0];
        }
        $lines = $this->secret === null ? '' : "auth $this->secret\n";
        foreach ($messages as $message) {
            $lines .= self::json($message + ['ack' => true]) . "\n";
        }
        $answers = [];
        foreach (explode("\n", trim($this->exchange($lines, $deadline))) as $line) {
            $answer = json_decode($line, true) ?? ['error' => 'there is no answer'];
            if (isset($answer['error'])) {
                throw new HassesException($answer['error'], 400);
            }
            $answers[] = $answer;
        }
        return $answers;
    }

    /** Asks over HTTP. Version 1.0: the answer ends with the connection, and is not cut into chunks. */
    private function ask(string $method, string $path, string $body, float $deadline): array
    {
        $head = "$method $this->prefix$path HTTP/1.0\r\nHost: $this->host" . ($this->port ? ":$this->port" : '') . "\r\n";
        $head .= $this->secret === null ? '' : "Authorization: Bearer $this->secret\r\n";
        $head .= $method === 'POST' ? "Content-Type: application/json\r\nContent-Length: " . strlen($body) . "\r\n" : '';
        [$head, $json] = explode("\r\n\r\n", $this->exchange("$head\r\n$body", $deadline), 2) + ['', ''];
        $answer = json_decode($json, true);
        if (!preg_match('#^HTTP/1\.\d (\d{3})#', $head, $status) || !is_array($answer)) {
            throw new HassesException('this is no answer of hasses: ' . substr($head, 0, 100));
        }
        if ($status[1] !== '200') {
            throw new HassesException($answer['error'] ?? $status[1], (int) $status[1]);
        }
        return [$answer, $head];
    }

    /** Sends, and reads to the end of the connection. */
    private function exchange(string $sent, float $deadline): string
    {
        $schemes = ['https' => "tls://$this->host:$this->port", 'unix' => "unix://$this->path"];
        $address = $schemes[$this->kind] ?? "tcp://$this->host:$this->port";
        $connection = @stream_socket_client($address, $number, $reason, max(0.001, $deadline - microtime(true)));
        if (!$connection) {
            throw new HassesException("hasses cannot be reached: $reason");
        }
        stream_set_blocking($connection, false);
        $raw = '';
        while (($left = $deadline - microtime(true)) > 0) {
            $read = [$connection];
            $write = $sent === '' ? null : [$connection];
            $none = null;
            if (!@stream_select($read, $write, $none, (int) $left, (int) (fmod($left, 1) * 1e6))) {
                continue;
            }
            if ($write) {
                $count = @fwrite($connection, $sent);
                $sent = $count ? (string) substr($sent, $count) : $sent;
                if ($sent === '' && $this->kind === 'tcp') {
                    stream_socket_shutdown($connection, STREAM_SHUT_WR);
                }
            }
            $raw .= $read ? (string) @fread($connection, 65536) : '';
            if (feof($connection)) {
                fclose($connection);
                return $raw;
            }
        }
        fclose($connection);
        throw new HassesException('not confirmed: no answer in time');
    }

    /** Writes into the named pipe, in one piece or not at all. */
    private function writeFifo(string $line, float $deadline): void
    {
        if (strlen($line) > self::PIPE_BUF) {
            throw new HassesException('the message is too long for a pipe: ' . self::PIPE_BUF . ' bytes are the most', 413);
        }
        // `n` (O_NONBLOCK) fails at once where nobody reads, instead of waiting for a reader.
        $pipe = @filetype($this->path) === 'fifo' ? @fopen($this->path, 'wn') : false;
        if (!$pipe) {
            throw new HassesException("hasses does not read $this->path");
        }
        while (@fwrite($pipe, $line) !== strlen($line)) {
            if (microtime(true) > $deadline) {
                throw new HassesException("$this->path is full");
            }
            usleep(5000);
        }
        fclose($pipe);
    }
}
