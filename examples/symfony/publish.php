<?php
// Publishes one update with Symfony's component: php publish.php HUB-URL SECRET TOPIC DATA [private]
use Symfony\Component\HttpClient\HttpClient;
use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\StaticTokenProvider;
use Symfony\Component\Mercure\Update;

// Debian's packages, or those of Composer.
foreach (['Symfony/Component/Mercure/autoload.php', 'Symfony/Component/HttpClient/autoload.php', __DIR__ . '/vendor/autoload.php'] as $file) {
    if (stream_resolve_include_path($file)) {
        require_once $file;
    }
}

[, $url, $secret, $topic, $data] = $argv;
$base64url = fn (string $text) => rtrim(strtr(base64_encode($text), '+/', '-_'), '=');
$head = $base64url('{"alg":"HS256","typ":"JWT"}') . '.' . $base64url(json_encode(['mercure' => ['publish' => ['*']]]));
$token = $head . '.' . $base64url(hash_hmac('sha256', $head, $secret, true));

$hub = new Hub($url, new StaticTokenProvider($token), null, null, HttpClient::create());
echo $hub->publish(new Update($topic, $data, in_array('private', $argv, true))), "\n";
