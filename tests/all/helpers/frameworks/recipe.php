<?php

// What the three scripts beside this one share: the blocks of a recipe, for the daemon of the test.

error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED & ~E_NOTICE);

$clients = $argv[1];
require "$clients/hasses.php";

/** The recipe's blocks of a language; what they name of the machine is the test's. */
function blocks(string $name, string $begin = 'php\n<\?php'): array
{
    global $clients;
    preg_match_all("/```$begin(.*?)```/s", file_get_contents("$clients/recipes/$name.md"), $found);
    return str_replace(
        ['/etc/hasses/secret', 'http://127.0.0.1:8085', 'new Hasses()'],
        [getenv('HASSES_KEY'), getenv('HASSES'), 'new Hasses(getenv("HASSES"))'],
        $found[1],
    );
}

function check(bool $holds, string $what): void
{
    $holds or throw new LogicException($what);
}
