export { StateFolder, type StateFolderOptions } from './state-folder.ts';
