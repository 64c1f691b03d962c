<?php
// A web application that broadcasts as Laravel does: a page with laravel-echo, who may listen to what, and publishing.
// php -S 127.0.0.1:PORT app.php, with HUB (the hub's public URL), SECRET and ECHO (laravel-echo's file) in the environment.
$hub = getenv('HUB');
$app = 'http://' . $_SERVER['HTTP_HOST'];
$topics = 'https://laravel.alt/echo/channel/';

function base64url(string $text): string
{
    return rtrim(strtr(base64_encode($text), '+/', '-_'), '=');
}

function token(string $hub, string $issuer, array $details): string
{
    $claims = ['iss' => $issuer, 'aud' => $hub, 'exp' => time() + 300, 'authorization_details' => $details];
    $head = base64url('{"alg":"HS256","typ":"at+jwt"}') . '.' . base64url(json_encode($claims));
    return $head . '.' . base64url(hash_hmac('sha256', $head, getenv('SECRET'), true));
}

function detail(array $actions, array $topics, ?array $payload = null): array
{
    $detail = ['type' => 'https://mercure.rocks/authorization-detail', 'actions' => $actions, 'topics' => $topics];
    return $payload === null ? $detail : $detail + ['payload' => $payload];
}

function exact(string $topic): array
{
    return ['match' => $topic, 'match_type' => 'exact'];
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/broadcasting/auth') {
    $user = $_SERVER['HTTP_X_USER'];
    $channels = json_decode(file_get_contents('php://input'), true)['channels'];
    $details = [];
    foreach ($channels as $channel) {
        // `private-ann` is Ann's alone.
        if (str_starts_with($channel, 'private-') && !in_array($channel, ["private-$user", 'private-encrypted-room'], true)) {
            http_response_code(403);
            exit;
        }
        $topic = $topics . $channel;
        $presence = str_starts_with($channel, 'presence-');
        $payload = $presence ? ['user_id' => $user, 'user_info' => ['name' => $user]] : null;
        $details[] = detail(['subscribe'], [exact($topic)], $payload);
        // Whispers.
        $details[] = detail(['publish'], [exact($topic)]);
        if ($presence) {
            $root = parse_url($hub, PHP_URL_PATH) . '/subscriptions/:match_type/' . rawurlencode($topic);
            $details[] = detail(['subscribe'], [['match' => $root . '{/:subscriber}?', 'match_type' => 'urlpattern']]);
        }
    }
    setcookie('mercure', token($hub, $app, $details), ['path' => '/', 'httponly' => true, 'samesite' => 'Lax']);
    header('Content-Type: application/json');
    // The secret of the encrypted channel, as those have it who may listen.
    echo json_encode(['shared_secret' => base64_encode(hash('sha256', getenv('SECRET'), true))]);
} elseif ($path === '/broadcast') {
    $channel = $_GET['channel'];
    $data = json_decode($_GET['data'], true);
    if (str_starts_with($channel, 'private-encrypted-')) {
        $nonce = random_bytes(12);
        $text = openssl_encrypt(json_encode($data), 'aes-256-gcm', hash('sha256', getenv('SECRET'), true), OPENSSL_RAW_DATA, $nonce, $tag);
        $data = ['nonce' => base64_encode($nonce), 'ciphertext' => base64_encode($text . $tag)];
    }
    $fields = ['topic' => $topics . $channel, 'data' => json_encode(['channel' => $channel, 'event' => $_GET['event'], 'data' => $data])];
    if (preg_match('/^(private|presence)-/', $channel)) {
        $fields['private'] = 'on';
    }
    $token = token($hub, $app, [detail(['publish'], [exact('*')])]);
    echo file_get_contents($hub, false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "Authorization: Bearer $token\r\nContent-Type: application/x-www-form-urlencoded",
        'content' => http_build_query($fields),
    ]]));
} elseif ($path === '/echo.js' || $path === '/connector.mjs') {
    header('Content-Type: text/javascript');
    readfile($path === '/echo.js' ? getenv('ECHO') : __DIR__ . '/../../../examples/laravel/echo.mjs');
} else {
    header('Content-Type: text/html');
    echo '<!doctype html><title>Echo</title><p>A page.';
}
