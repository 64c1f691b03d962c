// The chat, with a few people in it; its own command starts a hasses for it.
//   node chat.mjs SUBSCRIBERS-URL CONTROL-URL USER-DATA-DIR PICTURE
import { Stage } from '../all/chat/stage.mjs';

const picture = process.argv[5];
const stage = await Stage.open('target/release/hasses', ['examples/chat/chat.py', '127.0.0.1:0']);
try {
  const look = { viewport: { width: 1000, height: 680 }, colorScheme: 'light', reducedMotion: 'reduce', locale: 'en-GB' };
  const ada = await stage.person('Ada', look);
  const grace = await stage.person('Grace', look);
  const linus = await stage.person('Linus', look);
  await grace.says('Good morning! Who has the numbers from last night?');
  await ada.says('I do: 20,000 streams, nothing lost');
  await ada.says('The graphs are at https://example.org/graphs');
  await linus.says('And when I pulled the plug?');
  await grace.says('Everybody was back within three seconds:\n  – each page asked for what it had missed\n  – nobody saw anything twice');
  await linus.says('Not bad at all.');
  await ada.says('Then it is time for breakfast.');
  await linus.page.getByRole('link', { name: 'music' }).click();
  await linus.says('Something calm for today?');
  await ada.page.getByRole('link', { name: 'music 1 unread' }).waitFor();
  await ada.sees('Not bad at all.');
  await grace.box.pressSequentially('Save me a croissant');
  await ada.seesTyping('Grace is typing…');
  await ada.page.screenshot({ path: picture });
} finally {
  await stage.close();
}
