"""Runs a recipe with its framework: recipe.py CLIENTS-FOLDER NAME. The recipe's first Python block is the application."""
import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

sys.dont_write_bytecode = True
clients, name = sys.argv[1:]
sys.path.insert(0, clients)
os.environ['SECRET_KEY'] = 'for this test'
code = re.search(r'```python\n(.*?)```', Path(clients, 'recipes', f'{name}.md').read_text(), re.S).group(1)
module = ModuleType('recipe')

if name == 'django':
    import django
    from django.conf import settings
    from django.test import RequestFactory
    settings.configure(ALLOWED_HOSTS=['*'], SECRET_KEY='x')
    django.setup()
exec(compile(code, f'{name}.md', 'exec'), module.__dict__)

if name == 'flask':
    client = module.app.test_client()
    assert client.get('/signed').status_code == 401
    with client.session_transaction() as session:
        session['user'] = 'ann'
    query = client.get('/signed').text
    assert client.post('/tell/ann').status_code == 200
elif name == 'fastapi':
    from fastapi.testclient import TestClient
    client = TestClient(module.app)
    assert client.get('/signed').status_code == 401
    module.app.dependency_overrides[module.current_user] = lambda: 'ann'
    query = client.get('/signed').text
    assert client.post('/tell/ann').json() == {'recipients': 1}
else:
    def ask(view, user, *more):
        request = RequestFactory().get('/')
        request.user = user
        return view(request, *more)
    assert ask(module.signed, SimpleNamespace(is_authenticated=False)).status_code == 401
    query = ask(module.signed, SimpleNamespace(is_authenticated=True, pk='ann')).content.decode()
    assert ask(module.tell, None, 'ann').content == b'{"recipients": 1}'
print(query)
