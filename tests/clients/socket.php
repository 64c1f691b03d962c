<?php
// Publishes as old backends do: connect, send without a line end, shut down.
[, $host, $port, $message] = $argv;
$socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
socket_connect($socket, $host, (int) $port) || exit(1);
socket_send($socket, $message, strlen($message), 0);
socket_shutdown($socket);
socket_close($socket);
