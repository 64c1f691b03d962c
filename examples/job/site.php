<?php

// The site: a login by session, the right to read one's own events, and jobs that a worker does.
require getenv('CLIENTS') . '/hasses.php';
session_start(['cookie_httponly' => true, 'cookie_samesite' => 'Lax']);
$user = $_SESSION['user'] ?? null;

switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/':
        header('Content-Type: text/html; charset=utf-8');
        readfile(__DIR__ . '/page.html');
        break;
    case '/me':
        echo json_encode(['user' => $user]);
        break;
    case '/login': // A real site asks for a password.
        if ($_SERVER['REQUEST_METHOD'] === 'POST' && preg_match('/^\w{1,20}$/D', $_POST['name'] ?? '')) {
            session_regenerate_id(true);
            $_SESSION['user'] = $_POST['name'];
        }
        header('Location: /', true, 303);
        break;
    case '/signed': // Who is logged in may read what is for them, and nothing else.
        if ($user === null) {
            http_response_code(401);
            break;
        }
        echo Hasses::sign(["user:$user"], Hasses::key(getenv('HASSES_KEY')), 60);
        break;
    case '/start':
        if ($user === null || $_SERVER['REQUEST_METHOD'] !== 'POST') {
            http_response_code(403);
            break;
        }
        $job = bin2hex(random_bytes(4));
        // A real site hands it to a queue.
        exec(sprintf('python3 %s %s %s >/dev/null 2>&1 &', escapeshellarg(__DIR__ . '/worker.py'), escapeshellarg("user:$user"), $job));
        echo json_encode(['job' => $job]);
        break;
    default:
        http_response_code(404);
}
