<?php

// Does with hasses.php what its test asks: try.php FOLDER COMMAND ARGUMENTS… Writes JSON.
set_error_handler(static function (int $number, string $text): bool {
    // What was silenced with @ is handled; anything else is a fault.
    return error_reporting() & $number ? exit("PHP: $text\n") : true;
});
[, $folder, $command] = $argv;
$arguments = array_slice($argv, 3);
require "$folder/hasses.php";

$begin = microtime(true);
try {
    switch ($command) {
        case 'publish':
            [$address, $secret, $to, $data, $more] = $arguments;
            $hasses = new Hasses($address, $secret ?: null, 1.0);
            $told = $hasses->publish(json_decode($to), json_decode($data), json_decode($more, true)) ?: new stdClass();
            break;
        case 'many':
            $told = (new Hasses($arguments[0]))->publishMany([Hasses::message('a', 'one'), Hasses::message('b', 'two', ['event' => 'e'])]);
            break;
        case 'members':
            $told = (new Hasses($arguments[0]))->members($arguments[1]);
            break;
        case 'sign':
        case 'jwt':
            $more = json_decode($arguments[2], true);
            $seconds = $more['seconds'] ?? 60;
            unset($more['seconds']);
            $told = Hasses::$command(json_decode($arguments[1]), Hasses::key($arguments[0]), $seconds, $more);
            break;
    }
} catch (HassesException $error) {
    $told = ['error' => $error->getMessage(), 'status' => $error->getCode(), 'seconds' => microtime(true) - $begin];
}
echo json_encode($told), "\n";
