<?php

// The recipe's plugin in a real WordPress, which believes that it has a database: one in which nothing is.
require __DIR__ . '/recipe.php';

$folder = getenv('FOLDER');
file_put_contents("$folder/db.php", '<?php class no_database extends wpdb {
    public function __construct() { $this->ready = true; $this->charset = "utf8mb4"; }
    public function db_connect($allow_bail = true) { return true; }
    public function query($query) { $this->last_result = []; $this->num_rows = 0; return 0; }
    public function _real_escape($data) { return addslashes((string) $data); }
    public function get_col_length($table, $column) { return false; }
    public function db_version() { return "10.0"; }
    public function db_server_info() { return "10.0"; }
    public function has_cap($feature) { return true; }
    public function suppress_errors($suppress = true) { return false; }
    public function set_charset($connection, $charset = null, $collate = null) {}
}
$wpdb = new no_database();');
$_SERVER += ['HTTP_HOST' => 'example.org', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1', 'REQUEST_METHOD' => 'GET'];
$constants = [
    'ABSPATH' => '/usr/share/wordpress/', 'WP_CONTENT_DIR' => $folder, 'WP_INSTALLING' => true, 'DB_NAME' => '', 'DB_USER' => '', 'DB_PASSWORD' => '', 'DB_HOST' => '', 'DISABLE_WP_CRON' => true,
];
foreach ($constants as $name => $value) {
    define($name, $value);
}
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define("{$name}_KEY", str_repeat('k', 64));
    define("{$name}_SALT", str_repeat('s', 64));
}
$table_prefix = 'wp_';
require ABSPATH . 'wp-settings.php';
foreach (['home', 'siteurl'] as $option) {
    add_filter("pre_option_$option", fn () => 'https://example.org');
}
wp_styles();

// The plugin; the file that it requires is there already.
[$plugin] = blocks('wordpress');
eval(str_replace("require_once __DIR__ . '/hasses.php';", '', $plugin));

$post = new WP_Post((object) ['ID' => 7, 'post_title' => 'News of the day', 'post_type' => 'post', 'post_status' => 'publish']);
wp_cache_set(7, $post, 'posts');
wp_transition_post_status('draft', 'new', $post);
wp_transition_post_status('publish', 'draft', $post);
wp_transition_post_status('publish', 'publish', $post);

$signed = fn () => rest_get_server()->dispatch(new WP_REST_Request('GET', '/live/v1/signed'))->get_data();
check(!str_contains($signed(), 'user'), 'who is not logged in has no token');
$user = new WP_User();
$user->ID = 42;
$GLOBALS['current_user'] = $user;
ob_start();
do_action('wp_footer');
$footer = ob_get_clean();
check(str_contains($footer, 'from "/sse.js"') && str_contains($footer, '"user":42'), "footer: $footer");
echo $signed();
