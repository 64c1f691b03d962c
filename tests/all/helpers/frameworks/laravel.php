<?php

// The recipe's provider, route and job in a real Laravel application.
require __DIR__ . '/recipe.php';
require '/usr/share/php/Illuminate/autoload.php';

use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Auth;

[$provider, $routes, $job] = blocks('laravel');
$folder = getenv('FOLDER');
foreach (['bootstrap/cache', 'storage/framework/views', 'config'] as $needed) {
    mkdir("$folder/$needed", 0777, true);
}
final class Guard implements Illuminate\Contracts\Auth\Guard
{
    use Illuminate\Auth\GuardHelpers;

    public function user()
    {
        return $this->user;
    }

    public function validate(array $credentials = [])
    {
        return false;
    }
}
final class AppServiceProvider extends Illuminate\Support\ServiceProvider
{
    public static string $register;

    public function register()
    {
        eval(self::$register);
    }
}
AppServiceProvider::$register = $provider;

$app = new Application($folder);
$app->singleton(Illuminate\Contracts\Http\Kernel::class, Illuminate\Foundation\Http\Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);
file_put_contents("$folder/config/app.php", '<?php return ["key" => "' . str_repeat('k', 32) . '", "cipher" => "AES-256-CBC", "providers" => '
    . '[' . implode(',', array_map(fn ($class) => "$class::class", [
        Illuminate\Auth\AuthServiceProvider::class, Illuminate\Filesystem\FilesystemServiceProvider::class,
        Illuminate\Foundation\Providers\FoundationServiceProvider::class, Illuminate\View\ViewServiceProvider::class, AppServiceProvider::class,
    ])) . '], "aliases" => []];');
file_put_contents("$folder/config/auth.php", '<?php return ["defaults" => ["guard" => "test"], "guards" => ["test" => ["driver" => "test"]]];');
file_put_contents("$folder/config/view.php", '<?php return ["paths" => [], "compiled" => "' . $folder . '"];');
$kernel = $app->make(Illuminate\Contracts\Http\Kernel::class);
$kernel->bootstrap();
$guard = new Guard();
Auth::extend('test', fn () => $guard);
$app['router']->aliasMiddleware('auth', Illuminate\Auth\Middleware\Authenticate::class);
eval($routes);

$ask = fn () => $kernel->handle(Request::create('/signed', 'GET', [], [], [], ['HTTP_ACCEPT' => 'application/json']));
check($ask()->getStatusCode() === 401, 'nobody is let in');
$guard->setUser(new Illuminate\Auth\GenericUser(['id' => 'ann']));
$answer = $ask();
check($answer->getStatusCode() === 200, "signed: {$answer->getStatusCode()}");
$order = (object) ['user_id' => 'ann', 'id' => 7];
eval($job);
echo $answer->getContent();
