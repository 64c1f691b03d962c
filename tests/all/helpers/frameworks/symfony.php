<?php

// The recipe's controller in a real Symfony kernel: routes by its attributes, services by autowiring, Symfony's security.
require __DIR__ . '/recipe.php';
foreach (['Bundle/FrameworkBundle', 'Component/Security/Core', 'Component/Yaml'] as $part) {
    require "/usr/share/php/Symfony/$part/autoload.php";
}
// Debian's Symfony 5.4 knows the attribute by its old name.
class_exists(Symfony\Component\Routing\Attribute\Route::class)
    || class_alias(Symfony\Component\Routing\Annotation\Route::class, Symfony\Component\Routing\Attribute\Route::class);

use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\FrameworkBundle\Routing\AnnotatedRouteControllerLoader;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpKernel\Kernel as Base;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;
use Symfony\Component\Security\Core\Authentication\Token\Storage\TokenStorage;
use Symfony\Component\Security\Core\Authentication\Token\UsernamePasswordToken;
use Symfony\Component\Security\Core\Authorization\AccessDecisionManager;
use Symfony\Component\Security\Core\Authorization\AuthorizationChecker;
use Symfony\Component\Security\Core\Authorization\Voter\AuthenticatedVoter;
use Symfony\Component\Security\Core\Authentication\AuthenticationTrustResolver;
use Symfony\Component\Security\Core\Exception\AccessDeniedException;
use Symfony\Component\Security\Core\User\InMemoryUser;

$controller = getenv('FOLDER') . '/LiveController.php';
file_put_contents($controller, '<?php' . blocks('symfony')[0]);
require $controller;

final class Kernel extends Base
{
    use MicroKernelTrait;

    public static TokenStorage $tokens;

    public function registerBundles(): iterable
    {
        return [new Symfony\Bundle\FrameworkBundle\FrameworkBundle()];
    }

    public function getProjectDir(): string
    {
        return getenv('FOLDER');
    }

    public function checker(): AuthorizationChecker
    {
        $voters = [new AuthenticatedVoter(new AuthenticationTrustResolver())];
        return new AuthorizationChecker(self::$tokens, new AccessDecisionManager($voters), false, false);
    }

    public function tokens(): TokenStorage
    {
        return self::$tokens;
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', ['secret' => 'x', 'test' => false, 'http_method_override' => false]);
        $container->import(getenv('FOLDER') . '/services.yaml');
        $services = $container->services()->defaults()->autowire()->autoconfigure();
        $services->set(App\Controller\LiveController::class)->tag('controller.service_arguments')->public();
        $kernel = Symfony\Component\DependencyInjection\Loader\Configurator\service('kernel');
        // Not configured by itself: it would forget the user before each request.
        $services->set('security.token_storage', TokenStorage::class)->autoconfigure(false)->factory([$kernel, 'tokens']);
        $services->set('security.authorization_checker', AuthorizationChecker::class)->factory([$kernel, 'checker']);
        $services->alias(Symfony\Component\Security\Core\Authentication\Token\Storage\TokenStorageInterface::class, 'security.token_storage');
        $services->alias(Symfony\Component\Security\Core\Authorization\AuthorizationCheckerInterface::class, 'security.authorization_checker');
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        foreach ((new AnnotatedRouteControllerLoader())->load(App\Controller\LiveController::class) as $name => $route) {
            $made = $routes->add($name, $route->getPath())->methods($route->getMethods());
            $made->controller($route->getDefault('_controller'));
        }
    }
}

file_put_contents(getenv('FOLDER') . '/services.yaml', blocks('symfony', 'yaml\n')[0]);
putenv('HASSES_URL=' . getenv('HASSES'));
Kernel::$tokens = new TokenStorage();
$kernel = new Kernel('prod', false);
$ask = fn (string $method, string $path) => $kernel->handle(Request::create($path, $method), 1, false);
try {
    $ask('GET', '/signed');
    check(false, 'nobody is let in');
} catch (AccessDeniedException) {
}
Kernel::$tokens->setToken(new UsernamePasswordToken(new InMemoryUser('ann', null), 'main', ['ROLE_USER']));
check($ask('POST', '/tell/ann')->getStatusCode() === 200, 'told');
echo $ask('GET', '/signed')->getContent();
